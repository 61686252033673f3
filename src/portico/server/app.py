"""The application: doors plugged in behind one set of limits and one shape of errors for each kind of caller."""

from __future__ import annotations

import time
from collections.abc import Mapping

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.middleware.cors import CORSMiddleware

from portico.config.compat import CompatName
from portico.config.cors import CorsRules
from portico.server import errors, health
from portico.server.admission import Admission
from portico.server.arrival import LARGEST_BODIES, ArrivalLimit
from portico.server.dialect import OPENAI, Dialect
from portico.server.doors import alpaca, lmdeploy, messages, mlc, openai, responses, vllm
from portico.server.metrics import route
from portico.server.metrics.figures import Timeline
from portico.server.metrics.metrics import Metrics
from portico.server.metrics.watched import Watch, WatchedEngine, not_watched
from portico.server.middleware import ID_HEADERS, OPEN_PATHS, BearerKeys, BodyLimit, RequestIds, ShownUnder
from portico.server.openapi import describe_app
from portico.server.rates import HEADERS as RATE_HEADERS
from portico.server.rates import RateLimiter, Rates
from portico.server.service import Service
from portico.server.sessions.memory import MemoryStore
from portico.server.sessions.sessions import Sessions
from portico.server.sessions.store import SessionLimits
from portico.server.settings import ServerSettings
from portico.server.telemetry import Spans, Telemetry
from portico.server.terms import owner_number, read_terms
from portico.text.engine_client import EngineClient
from portico.text.model import TextModel
from portico.text.pipeline import Pipeline
from portico.text.prompt_log import PromptLog
from portico.text.trace import MOST_REQUESTS, Trace

DOORS = (mlc, messages, openai, lmdeploy, vllm, responses)
"""The first that has a route gets it."""
DIALECTS: Mapping[CompatName, Dialect] = {
    "none": OPENAI,
    **mlc.DIALECTS,
    **alpaca.DIALECTS,
    **lmdeploy.DIALECTS,
    **vllm.DIALECTS,
}
"""By the names of `--compat`; each door declares those of its servers."""


def error_shapes(compat: CompatName) -> errors.ShapeOf:
    """The shape of each request's errors."""
    return errors.shape_by_caller(DIALECTS[compat].error, (messages.error_shape,))


def create_app(
    engine: EngineClient,
    model: TextModel,
    settings: ServerSettings,
    sessions: Sessions | None = None,
    telemetry: Telemetry | None = None,
) -> FastAPI:
    """An ASGI application that serves `model` by `engine`; the engine may still be loading.

    Spans go to `telemetry`, which the caller closes.

    Without `sessions` of the caller's, which the caller closes, conversations are kept in memory.
    """
    sessions = sessions or Sessions(MemoryStore(SessionLimits()))
    dialect = DIALECTS[settings.compat]
    trace = Trace(MOST_REQUESTS if settings.tracing else 0)
    metrics = Metrics(engine, settings.model_names[0], (mlc.METRICS,))
    own_rates = {owner_number(digest): terms.rates for digest, terms in settings.key_terms.items()}
    rates = Rates(settings.rates, others=own_rates)

    def ended(request: Timeline) -> None:
        metrics.ended(request)
        rates.spent(request.owner, request.prompt_tokens + request.tokens)

    watched = WatchedEngine(engine, ended, trace, metrics.gap, _watching(telemetry, settings))
    prompts = PromptLog(settings.max_log_len) if settings.log_prompts else None
    pipeline = Pipeline(model, watched, trace, prompts, watched.failed)
    service = Service(pipeline, watched, metrics, trace, settings, sessions, started=int(time.time()), dialect=dialect)
    shape_of = error_shapes(settings.compat)
    app = _bare(settings)
    if settings.root_path:
        app.add_middleware(ShownUnder, path=settings.root_path.rstrip("/"))
    errors.install(app, shape_of)
    _limit(app, settings, rates, shape_of)
    if settings.api_keys:
        app.add_middleware(BearerKeys, keys=settings.api_keys, shape_of=shape_of)
    if telemetry is not None:  # inside what gives ids and takes the words of errors away
        app.add_middleware(Spans, telemetry=telemetry, quiet_paths=OPEN_PATHS | {"/metrics"})
    app.add_middleware(
        RequestIds,
        log_each=settings.log_requests,
        shape_of=shape_of,
        on_answer=metrics.answered,
        quiet_paths=settings.quiet_paths,
    )
    if settings.cors is not None:  # added last, so it is the outermost: a browser asks without the key
        _let_pages_in(app, settings.cors)
    app.include_router(health.router(service))
    app.include_router(route.router(metrics))
    for door in DOORS:
        for router in door.routers(service):
            app.include_router(router)
    bodies = [body for door in DOORS for body in door.BODIES]
    describe_app(app, bodies, dialect.error_model, keys=bool(settings.api_keys))
    return app


def _limit(app: FastAPI, settings: ServerSettings, rates: Rates, shape_of: errors.ShapeOf) -> None:
    """Bound what may come at a time; the last one is the first that a request meets."""
    app.add_middleware(
        ArrivalLimit,
        terms_of=lambda scope: read_terms(scope, settings),
        most_bytes=LARGEST_BODIES * settings.max_body_bytes,
    )
    if settings.queue is not None:
        app.add_middleware(Admission, limits=settings.queue, shape_of=shape_of)
    if rates.are_limited:
        app.add_middleware(RateLimiter, rates=rates, shape_of=shape_of)
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes, shape_of=shape_of)


def _watching(telemetry: Telemetry | None, settings: ServerSettings) -> Watch:
    if telemetry is None:
        return not_watched
    return lambda add: telemetry.watch(add, settings.model_names[0])


def _bare(settings: ServerSettings) -> FastAPI:
    if not settings.docs:
        return FastAPI(title="Portico", version=settings.version, docs_url=None, redoc_url=None, openapi_url=None)
    # Its page at /docs carries its scripts with it: a server without a way out shows it too.
    return FastAPIOffline(title="Portico", version=settings.version, redoc_url=None)


def _let_pages_in(app: FastAPI, rules: CorsRules) -> None:
    app.add_middleware(
        CORSMiddleware,
        allow_origins=rules.origins,
        allow_methods=rules.methods,
        allow_headers=rules.headers,
        allow_credentials=rules.credentials and not rules.credentials_for_all,  # else it repeats any origin's name
        expose_headers=[*ID_HEADERS, "retry-after", *RATE_HEADERS],
    )
