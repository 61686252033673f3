"""Spans, as a collector gets them: read from OTLP's own messages, over HTTP."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from portico.errors import ConfigError
from portico.protocol.messages import TokenEvent
from portico.server.app import create_app
from portico.server.telemetry import open_telemetry
from portico.text.model import TextModel
from tests.server.fake_engine import FakeEngine, Gate, say
from tests.server.harness import MODEL, SETTINGS, LiveServer, running

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SECRET = "Abrakadabra"


class Collector:
    """Takes spans by OTLP over HTTP."""

    def __init__(self) -> None:
        self.raw = b""
        self.spans: list[Span] = []
        self.resource: dict[str, Any] = {}
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == "/v1/traces"
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.raw += body
                for group in ExportTraceServiceRequest.FromString(body).resource_spans:
                    collector.resource = values(group.resource)
                    collector.spans += [span for scope in group.scope_spans for span in scope.spans]
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *arguments: object) -> None:
                """Nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def named(self, start: str) -> Span:
        (found,) = [span for span in self.spans if span.name.startswith(start)]
        return found


def values(holder: Any) -> dict[str, Any]:
    told = {}
    for attribute in holder.attributes:
        value = attribute.value
        kind = value.WhichOneof("value")
        told[attribute.key] = (
            [each.string_value for each in value.array_value.values] if kind == "array_value" else getattr(value, kind)
        )
    return told


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.server.shutdown()
    collector.server.server_close()


@contextmanager
def traced(text: TextModel, collector: Collector) -> Iterator[LiveServer]:
    engine, telemetry = FakeEngine(), open_telemetry(collector.url, "1.2.3")
    with running(create_app(engine, text, SETTINGS, telemetry=telemetry), engine, text) as server:
        yield server
    telemetry.close()


def test_a_chat_in_the_trace_of_its_client(text_model: TextModel, collector: Collector) -> None:
    with traced(text_model, collector) as server, server.http() as http:
        server.engine.script = say([5, 6, 2])
        asked = {"messages": [{"role": "user", "content": SECRET}], "temperature": 0.5, "max_tokens": 7, "seed": 11}
        headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
        answer = http.post("/v1/chat/completions", json=asked, headers=headers).json()
        http.get("/health")
        http.get("/metrics")
    outer, inner = collector.named("POST /v1/chat/completions"), collector.named("chat ")
    assert len(collector.spans) == 2
    assert (outer.trace_id.hex(), outer.parent_span_id.hex()) == (TRACE, PARENT)
    assert (inner.trace_id.hex(), inner.parent_span_id) == (TRACE, outer.span_id)
    assert outer.start_time_unix_nano <= inner.start_time_unix_nano <= inner.end_time_unix_nano
    assert inner.end_time_unix_nano <= outer.end_time_unix_nano
    assert values(outer)["http.response.status_code"] == 200
    told = values(inner)
    assert told["gen_ai.operation.name"] == "chat"
    assert told["gen_ai.request.model"] == MODEL
    assert told["gen_ai.response.id"] == answer["id"]
    assert (told["gen_ai.request.temperature"], told["gen_ai.request.max_tokens"]) == (0.5, 7)
    assert told["gen_ai.request.seed"] == 11
    assert told["gen_ai.usage.input_tokens"] == answer["usage"]["prompt_tokens"]
    assert told["gen_ai.usage.output_tokens"] == answer["usage"]["completion_tokens"]
    assert told["gen_ai.response.finish_reasons"] == ["stop"]
    assert 0 < told["gen_ai.latency.time_to_first_token"] <= told["gen_ai.latency.e2e"]
    assert collector.resource["service.name"] == "portico"
    assert SECRET.encode() not in collector.raw
    assert answer["choices"][0]["message"]["content"].encode() not in collector.raw


def test_streams_faults_and_refusals(text_model: TextModel, collector: Collector) -> None:
    with traced(text_model, collector) as server, server.http() as http:
        with http.stream("POST", "/v1/completions", json={"prompt": "a", "stream": True, "max_tokens": 1}) as stream:
            stream.read()
        server.engine.script = lambda add: [[TokenEvent(add.request_id, 0, [], "error", error="broken")]]
        assert http.post("/v1/completions", json={"prompt": "b", "seed": 2**64 - 1}).status_code == 500
        refused = http.post("/v1/completions", json={"prompt": "c", "temperature": -1})
        assert refused.status_code == 400
    outer = [span for span in collector.spans if span.name == "POST /v1/completions"]
    assert sorted(values(span)["http.response.status_code"] for span in outer) == [200, 400, 500]
    assert len({span.trace_id for span in outer}) == 3
    inner = [span for span in collector.spans if span.name == f"text_completion {MODEL}"]
    assert sorted(values(span)["gen_ai.response.finish_reasons"] for span in inner) == [["error"], ["length"]]
    assert [values(span).get("error.type") for span in outer if span.status.code] == ["engine_error"]


def test_names_by_the_environment(text_model: TextModel, collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "ours")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    with traced(text_model, collector) as server, server.http() as http:
        http.get("/v1/models")
    assert collector.resource["service.name"] == "ours"
    assert collector.resource["deployment.environment.name"] == "test"


@pytest.mark.parametrize("address", ["127.0.0.1:4318", "grpc://127.0.0.1:4317", "http://"])
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(ConfigError, match="it must be an address of OTLP over HTTP"):
        open_telemetry(address, "1")


def test_without_the_extra() -> None:
    code = (
        "import sys\nsys.modules['opentelemetry.exporter'] = None\n"
        "from portico.server.telemetry import open_telemetry\n"
        "from portico.errors import ConfigError\n"
        "try: open_telemetry('http://127.0.0.1:4318', '1')\nexcept ConfigError as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
    assert "pip install 'portico[otel]'" in said


def test_a_deadline_is_named(text_model: TextModel, collector: Collector) -> None:
    with traced(text_model, collector) as server, server.http() as http:
        server.engine.script = lambda add: [Gate()]
        for seconds in (0.1, 1, 10):  # on a busy machine a short time may be over before the engine has it
            late = http.post("/v1/completions", json={"prompt": "a"}, headers={"x-request-timeout": str(seconds)})
            assert late.status_code == 504
            if server.engine.added:
                break
    told = values(collector.named("text_completion "))
    assert (told["gen_ai.response.finish_reasons"], told["error.type"]) == (["error"], "request_timeout")
