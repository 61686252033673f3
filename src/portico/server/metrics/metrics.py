"""The figures of a server as Prometheus reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import get_args

from prometheus_client import CollectorRegistry, Metric, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from portico.errors import EngineError
from portico.protocol.messages import EngineStats, Loaded
from portico.server.metrics.families import Histogram, Labelled, Names, value_families
from portico.server.metrics.figures import Figures, Outcome, Timeline
from portico.server.metrics.table import ENDS, GAPS, READINGS, SPREADS, STEP_TOKENS, STEPS, TOKEN_SECONDS, VLLM_ENDS
from portico.text.engine_client import EngineClient

OTHER_NAMES = "The same by another server's name."

Sums = Callable[[Figures], Mapping[str, float]]
"""Sums by the names that another server's metrics have."""


class Metrics(Collector):
    """All figures of one server; a registry of its own, nothing global."""

    def __init__(self, engine: EngineClient, model: str, sums: Sequence[Sums] = ()) -> None:
        """`model` is the label of everything; `sums` are added under other servers' names."""
        self.total = Figures()
        """Since the start, or since it was cleared."""
        self.recent = Figures()
        """Since somebody asked for a new beginning."""
        self._engine = engine
        self._model = model
        self._sums = sums
        self._ends: Counter[Outcome] = Counter(dict.fromkeys(get_args(Outcome), 0))
        self._answers: Counter[tuple[int, str]] = Counter()
        self._spreads = [(spread.of, Histogram(spread.names, spread.help, spread.bounds)) for spread in SPREADS]
        self._gaps = Histogram(GAPS, "Between one token of a choice and the next.", TOKEN_SECONDS)
        self._steps = Histogram(STEPS, "Tokens of prompts and answers that a step computed.", STEP_TOKENS)
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        ProcessCollector("portico_engine", pid=lambda: engine.pid, registry=self._registry)
        PlatformCollector(registry=self._registry)
        engine.on_step(self._stepped)

    def ended(self, request: Timeline) -> None:
        """A request has ended."""
        self.total.add(request)
        self.recent.add(request)
        self._ends[request.outcome] += 1
        for of, histogram in self._spreads:
            value = of(request)
            if value is not None:
                histogram.observe(value)

    def gap(self, seconds: float) -> None:
        """So long a choice has taken from one token to the next."""
        self._gaps.observe(seconds)

    def answered(self, status: int, code: str) -> None:
        """An HTTP answer has begun; `code` is the word of its error, empty without one."""
        self._answers[status, code] += 1

    def begin_anew(self) -> None:
        """Forget what `recent` has."""
        self.recent = Figures()

    def clear(self) -> None:
        """Forget the sums; counts and histograms never go back."""
        self.total, self.recent = Figures(), Figures()

    def text(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Every family of samples, as they stand."""
        yield from self._of_the_engine()
        for histogram in (*(histogram for _, histogram in self._spreads), self._gaps, self._steps):
            yield from histogram.families(self._model)
        for names, label in ((ENDS, "reason"), (VLLM_ENDS, "finished_reason")):
            counts: dict[Labelled, float] = {((label, outcome),): count for outcome, count in self._ends.items()}
            yield from value_families(names, "counter", "Requests that have ended, by how.", self._model, counts)
        answers: dict[Labelled, float] = {
            (("status", str(status)), ("code", code)): count for (status, code), count in sorted(self._answers.items())
        }
        said = "HTTP answers by status and, for errors, by the word of the error."
        yield from value_families(Names("http_answers"), "counter", said, self._model, answers)
        for sums in self._sums:
            for name, value in sums(self.total).items():
                yield GaugeMetricFamily(name, OTHER_NAMES, value=value)

    def _of_the_engine(self) -> Iterator[Metric]:
        loaded = self._loaded()
        up = float(loaded is not None and self._engine.failure() is None)
        said = "1 when the model is loaded and its engine works."
        yield from value_families(Names("engine_up"), "gauge", said, self._model, {(): up})
        said, restarts = "Engines that were lost and replaced.", self._engine.restarts
        yield from value_families(Names("engine_restarts"), "counter", said, self._model, {(): restarts})
        if loaded is not None:
            labels = (
                ("block_size", str(loaded.block_size)),
                ("num_gpu_blocks", str(loaded.num_blocks)),
                ("cache_dtype", loaded.kv_cache_dtype or loaded.dtype),
            )
            said = "1; how the memory for keys and values is laid out stands in the labels."
            yield from value_families(Names(None, ("cache_config_info",)), "gauge", said, self._model, {labels: 1.0})
        stats = self._engine.stats or EngineStats(0, 0, 0, 0, 0, 0, 0, 0, 0)
        for reading in READINGS:
            yield from value_families(reading.names, reading.kind, reading.help, self._model, {(): reading.of(stats)})

    def _loaded(self) -> Loaded | None:
        try:
            return self._engine.loaded
        except EngineError:
            return None

    def _stepped(self, stats: EngineStats) -> None:
        if stats.step_tokens:
            self._steps.observe(stats.step_tokens)
