"""OpenTelemetry: a span for each HTTP request, in the trace of whoever asked, and in it one for what the model did.

Needs the extra `portico[otel]`. What OTEL_* variables say (resource, sampler, headers, timeouts) is read by the library
itself. No span ever has a prompt, an answer or a key in it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from portico.errors import ConfigError
from portico.protocol.messages import Add
from portico.server.errors import ERROR_CODE
from portico.server.metrics.figures import Timeline

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Tracer

OPERATIONS = {"chatcmpl": "chat", "embd": "embeddings"}
"""By the first word of a request's id."""

Finish = Callable[[Timeline], None]


class Telemetry:
    """Where spans are made and sent; one object for a server."""

    def __init__(self, exporter: SpanExporter, version: str) -> None:
        """Spans go to `exporter` in the background."""
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        resource = Resource.create({"service.version": version})
        if str(resource.attributes.get("service.name", "unknown_service")).startswith("unknown_service"):
            resource = resource.merge(Resource({"service.name": "portico"}))
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer: Tracer = self._provider.get_tracer("portico", version)
        self._propagator = TraceContextTextMapPropagator()

    def close(self) -> None:
        """Send what is left; waits for that."""
        self._provider.shutdown()

    def watch(self, add: Add, model: str) -> Finish:
        """Begin the span of a request to the engine, inside that of the HTTP request; call the result at its end."""
        from opentelemetry.trace import SpanKind

        begun = time.monotonic()
        operation = OPERATIONS.get(add.request_id.partition("-")[0], "text_completion")
        params: dict[str, Any] = {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": "portico",
            "gen_ai.request.model": model,
            "gen_ai.response.model": model,
            "gen_ai.response.id": add.request_id,
            "gen_ai.request.choice.count": add.n,
            "gen_ai.request.max_tokens": add.params.max_tokens,
            "gen_ai.request.temperature": add.params.temperature,
            "gen_ai.request.top_p": add.params.top_p,
            "gen_ai.request.top_k": add.params.top_k,
            "gen_ai.request.seed": add.params.seed,
        }
        span = self._tracer.start_span(f"{operation} {model}", kind=SpanKind.INTERNAL, attributes=params)

        def finish(request: Timeline) -> None:
            span.set_attributes(_outcome(request))
            _name_error(span, request.error_code if request.outcome == "error" else "")
            # The end of the request, not of whoever tells of it; spans count by the clock of the day.
            span.end(time.time_ns() - max(0, int((time.monotonic() - begun - request.seconds) * 1e9)))

        return finish

    async def serve(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer inside a span that follows `traceparent`."""
        from opentelemetry.trace import SpanKind

        headers = Headers(scope=scope)
        parent = self._propagator.extract(
            {name: headers[name] for name in ("traceparent", "tracestate") if name in headers}
        )
        about = {"http.request.method": scope["method"], "url.path": scope["path"], "url.scheme": scope["scheme"]}
        name = f"{scope['method']} {scope['path']}"
        with self._tracer.start_as_current_span(name, parent, SpanKind.SERVER, about) as span:

            async def watched_send(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                    if message["status"] >= 500:
                        _name_error(span, Headers(raw=message["headers"]).get(ERROR_CODE) or str(message["status"]))
                await send(message)

            await app(scope, receive, watched_send)


class Spans:
    """The middleware that gives each HTTP request its span; probes and metrics have none."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry, quiet_paths: frozenset[str]) -> None:
        self._app = app
        self._telemetry = telemetry
        self._quiet = quiet_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in self._quiet:
            await self._app(scope, receive, send)
        else:
            await self._telemetry.serve(self._app, scope, receive, send)


def open_telemetry(endpoint: str, version: str) -> Telemetry:
    """Telemetry that is sent by OTLP over HTTP; ConfigError without the extra or for an address that is none."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError as error:
        raise ConfigError(
            "otlp_traces_endpoint needs OpenTelemetry, which is not installed: pip install 'portico[otel]'."
        ) from error
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(
            f"otlp_traces_endpoint is {endpoint!r}; it must be an address of OTLP over HTTP, as "
            "http://127.0.0.1:4318/v1/traces."
        )
    whole = endpoint if parts.path.strip("/") else f"{endpoint.rstrip('/')}/v1/traces"
    return Telemetry(OTLPSpanExporter(endpoint=whole), version)


def _outcome(request: Timeline) -> dict[str, Any]:
    told: dict[str, Any] = {
        "gen_ai.usage.input_tokens": request.prompt_tokens,
        "gen_ai.usage.output_tokens": request.tokens,
        "gen_ai.usage.cache_read.input_tokens": request.cached_tokens,
        "gen_ai.response.finish_reasons": tuple(request.ends.values()) or (request.outcome,),
        "gen_ai.latency.e2e": request.seconds,
    }
    if request.first is not None:
        told["gen_ai.latency.time_to_first_token"] = request.prefill_seconds
    if request.queue_seconds is not None:
        told["gen_ai.latency.time_in_queue"] = request.queue_seconds
    return told


def _name_error(span: Any, code: str) -> None:
    from opentelemetry.trace import Status, StatusCode

    if code:
        span.set_status(Status(StatusCode.ERROR, code))
        span.set_attribute("error.type", code)
