"""The files under deploy/: Grafana's dashboard asks only for what /metrics has, and Prometheus' file can be read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from portico.server.metrics.metrics import Metrics
from tests.server.fake_engine import FakeEngine
from tests.server.metrics.test_metrics import families

DEPLOY = Path(__file__).parents[2] / "deploy"
METRIC = re.compile(r"\b(?:portico|vllm|process)(?::|_)[a-z0-9_]+")


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    read: dict[str, Any] = json.loads((DEPLOY / "grafana" / "portico.json").read_text(encoding="utf-8"))
    return read


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def test_every_name_it_asks_for_is_there(dashboard: dict[str, Any]) -> None:
    metrics = Metrics(FakeEngine(), "m")
    metrics.answered(200, "")
    there = {sample for family in families(metrics.text().decode()).values() for sample in family}
    asked = {
        name for panel in panels(dashboard) for target in panel["targets"] for name in METRIC.findall(target["expr"])
    }
    asked |= {
        name for variable in dashboard["templating"]["list"][1:] for name in METRIC.findall(variable["definition"])
    }
    assert len(asked) > 20
    assert asked - there == set()


def test_what_it_shows(dashboard: dict[str, Any]) -> None:
    asked = " ".join(target["expr"] for panel in panels(dashboard) for target in panel["targets"])
    for name in (
        "time_to_first_token", "inter_token_latency", "request_queue", "generation_tokens", "num_requests_waiting",
        "kv_cache_usage", "http_answers", "engine_restarts", "process_resident_memory",
    ):  # fmt: skip
        assert name in asked


def test_grafana_can_import_it(dashboard: dict[str, Any]) -> None:
    assert dashboard["schemaVersion"] >= 36
    assert "id" not in dashboard  # Grafana gives one
    identities = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(identities)) == len(identities)
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
    for panel in panels(dashboard):
        assert panel["datasource"]["uid"] == "${datasource}"
        letters = [target["refId"] for target in panel["targets"]]
        assert letters == sorted(set(letters))
        for target in panel["targets"]:
            assert target["expr"].count("(") == target["expr"].count(")")
    names = {variable["name"] for variable in dashboard["templating"]["list"]}
    used = set(re.findall(r"\$\{?([a-z]+)", json.dumps(panels(dashboard)))) - {"__rate_interval"}
    assert used == names


def test_prometheus_file() -> None:
    read = yaml.safe_load((DEPLOY / "prometheus.yml").read_text(encoding="utf-8"))
    (job,) = read["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["127.0.0.1:8000"]}]
