"""One figure under every name that it goes by, as Prometheus' families of samples."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, isinf
from typing import Literal

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

Labels = Mapping[str, str]
Labelled = tuple[tuple[str, str], ...]
"""Further labels with their values."""


@dataclass(frozen=True, slots=True)
class Names:
    """What a figure is called: by Portico under `portico:`, by vLLM under `vllm:`, without the prefixes."""

    own: str | None
    vllm: tuple[str, ...] = ()

    def labelled(self, model: str) -> Iterator[tuple[str, Labels]]:
        """Each name in full, with the labels that samples of it have."""
        if self.own is not None:
            yield f"portico:{self.own}", {"model_name": model}
        for name in self.vllm:
            yield f"vllm:{name}", {"model_name": model, "engine": "0"}


def value_families(
    names: Names,
    kind: Literal["gauge", "counter"],
    help: str,
    model: str,
    values: Mapping[Labelled, float],
) -> Iterator[Metric]:
    """A gauge or counter by each of its names; `values` by their further labels, () for none."""
    family_of = GaugeMetricFamily if kind == "gauge" else CounterMetricFamily
    for name, labels in names.labelled(model):
        further = [key for key, _ in next(iter(values), ())]
        family = family_of(name, help, labels=[*labels, *further])
        for extra, value in values.items():
            family.add_metric([*labels.values(), *(text for _, text in extra)], value)
        yield family


@dataclass(slots=True)
class Histogram:
    """How values are spread over buckets; kept once, told by each name."""

    names: Names
    help: str
    bounds: Sequence[float]
    """Upper ends of the buckets, rising; one without an end comes behind them."""
    counts: list[int] = field(init=False)
    sum: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        """One more value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def families(self, model: str) -> Iterator[Metric]:
        """It by each of its names."""
        total, buckets = 0, []
        for bound, count in zip((*self.bounds, inf), self.counts, strict=True):
            total += count
            buckets.append(("+Inf" if isinf(bound) else str(float(bound)), total))
        for name, labels in self.names.labelled(model):
            family = HistogramMetricFamily(name, self.help, labels=list(labels))
            family.add_metric(list(labels.values()), buckets, self.sum)
            yield family
