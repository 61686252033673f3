"""The figures of a server as Prometheus reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from portico.errors import EngineError
from portico.server.metrics.figures import Figures, Timeline
from portico.text.engine_client import EngineClient

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250)
TOKEN_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536)
OTHER_NAMES = "The same by another server's name."

Names = Callable[[Figures], Mapping[str, float]]
"""Sums by the names that another server's metrics have."""


class Metrics:
    """All figures of one server; a registry of its own, nothing global."""

    def __init__(self, engine: EngineClient, model: str, names: Sequence[Names] = ()) -> None:
        """`model` is the label of everything; `names` add the sums under other servers' names."""
        self.total = Figures()
        """Since the start, or since it was cleared."""
        self.recent = Figures()
        """Since somebody asked for a new beginning."""
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "portico:requests", "Requests that have ended, by how.", ["model_name", "reason"], registry=self._registry
        )
        self._model = model
        self._first = self._histogram("time_to_first_token_seconds", "Until a request's first token.", SECONDS)
        self._each = self._histogram(
            "time_per_output_token_seconds", "Between tokens, the mean of each request.", TOKEN_SECONDS
        )
        self._whole = self._histogram("request_seconds", "Until a request's end.", SECONDS)
        self._prompts = self._histogram("request_prompt_tokens", "Tokens of a request's prompt.", TOKENS)
        self._answers = self._histogram("request_generation_tokens", "Tokens that a request gave.", TOKENS)
        self._registry.register(_EngineCounts(engine, model))
        self._registry.register(_OtherNames(self, names))

    def ended(self, request: Timeline) -> None:
        """A request has ended."""
        self.total.add(request)
        self.recent.add(request)
        self._requests.labels(self._model, request.outcome).inc()
        self._whole.observe(request.seconds)
        self._prompts.observe(request.prompt_tokens)
        if request.first is not None:
            self._first.observe(request.prefill_seconds)
            self._answers.observe(request.tokens)
        if request.decode_tokens > 0:
            self._each.observe(request.decode_seconds / request.decode_tokens)

    def begin_anew(self) -> None:
        """Forget what `recent` has."""
        self.recent = Figures()

    def clear(self) -> None:
        """Forget the sums; counts and histograms never go back."""
        self.total, self.recent = Figures(), Figures()

    def text(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self._registry)

    def _histogram(self, name: str, help: str, buckets: Sequence[float]) -> Histogram:
        whole = Histogram(f"portico:{name}", help, ["model_name"], buckets=buckets, registry=self._registry)
        return whole.labels(self._model)


class _EngineCounts(Collector):
    """What the engine counts itself, read when it is asked for."""

    def __init__(self, engine: EngineClient, model: str) -> None:
        self._engine = engine
        self._model = model

    def collect(self) -> Iterator[Metric]:
        try:
            up = self._engine.loaded is not None and self._engine.failure() is None
        except EngineError:
            up = False
        yield self._gauge("engine_up", "1 when the model is loaded and its engine works.", float(up))
        stats = self._engine.stats
        if stats is None:
            return
        yield self._gauge("num_requests_running", "Sequences that are computed.", stats.running)
        yield self._gauge("num_requests_waiting", "Sequences that wait for room.", stats.waiting)
        used = stats.blocks_used / stats.blocks_total if stats.blocks_total else 0.0
        yield self._gauge("kv_cache_usage", "Share of the blocks for keys and values that is in use, 0 to 1.", used)
        yield self._counter("engine_steps", "Steps of the engine.", stats.steps)
        yield self._counter("preemptions", "Sequences that gave way and were computed again.", stats.preemptions)
        yield self._counter("prompt_tokens", "Tokens of prompts.", stats.prompt_tokens)
        yield self._counter("cached_prompt_tokens", "Those of them that were known already.", stats.cached_tokens)
        yield self._counter("generation_tokens", "Tokens that were drawn.", stats.generated_tokens)

    def _gauge(self, name: str, help: str, value: float) -> Metric:
        family = GaugeMetricFamily(f"portico:{name}", help, labels=["model_name"])
        family.add_metric([self._model], value)
        return family

    def _counter(self, name: str, help: str, value: float) -> Metric:
        family = CounterMetricFamily(f"portico:{name}", help, labels=["model_name"])
        family.add_metric([self._model], value)
        return family


class _OtherNames(Collector):
    """Sums under the names of other servers."""

    def __init__(self, metrics: Metrics, names: Sequence[Names]) -> None:
        self._metrics = metrics
        self._names = names

    def collect(self) -> Iterator[Metric]:
        for names in self._names:
            for name, value in names(self._metrics.total).items():
                yield GaugeMetricFamily(name, OTHER_NAMES, value=value)
