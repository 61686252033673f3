"""Log lines as JSON."""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime

import pytest

from portico.logs import JsonLines, about


def line_of(message: str, *arguments: object, **details: object) -> dict[str, object]:
    record = logging.getLogger("portico.x").makeRecord(
        "portico.x", logging.WARNING, "f", 1, message, arguments, details.get("exc_info"), extra=details.get("extra")
    )  # type: ignore[arg-type]
    written = JsonLines("engine").format(record)
    assert "\n" not in written
    read: dict[str, object] = json.loads(written)
    return read


def test_a_line() -> None:
    line = line_of("%s is\n%s", "this", "ünlike \ud800 others", extra=about("req-1", status=200))
    assert datetime.fromisoformat(str(line.pop("time"))).tzinfo is not None
    assert line == {
        "level": "warning", "process": "engine", "logger": "portico.x", "message": "this is\nünlike \ud800 others",
        "request_id": "req-1", "status": 200,
    }  # fmt: skip


def test_a_traceback_is_a_field() -> None:
    try:
        raise RuntimeError("why")
    except RuntimeError:
        line = line_of("failed", exc_info=sys.exc_info())
    assert str(line["exception"]).endswith("RuntimeError: why")


@pytest.mark.parametrize("value", [object(), {1, 2}, float("inf")])
def test_whatever_stands_in_it_it_is_json(value: object) -> None:
    assert line_of("x", extra=about("r", value=value))["request_id"] == "r"
