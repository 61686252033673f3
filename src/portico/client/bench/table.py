"""Figures as tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table

from portico.client.bench.figures import ALL_TERMS, TERMS, Figures


def tables(figures: Figures, title: str = "") -> list[Table]:
    """Latencies, and throughput with what failed."""
    return [_latencies(figures, title), _amounts(figures)]


def notes(figures: Figures) -> list[str]:
    """What a reader of the tables has to know."""
    lines = [f"{count} failed: {kind}: {figures.examples[kind]}" for kind, count in figures.problems.items()]
    if figures.uncounted:
        lines.append(f"The server did not count the tokens of {figures.uncounted} answers: each piece is one here.")
    if figures.begins_empty:
        lines.append("The first pieces of answers are empty and come before the model has begun: go by the text's.")
    return lines


def sweep_table(found: Mapping[int, Figures]) -> Table:
    """One row for each number of requests at once."""
    empty = any(figures.begins_empty for figures in found.values())
    terms = ("ttft_text", "tpot_text") if empty else ("ttft", "tpot")
    names = [part for term in terms for part in (f"{ALL_TERMS[term][0]} median", "p99")]
    table = Table("at once", "req/s", "out tok/s", *names, "failed")
    for column in table.columns:
        column.justify = "right"
    for level, figures in found.items():
        cells = [f"{value:.1f}" for term in terms for value in (figures.spreads[term].median, _highest(figures, term))]
        table.add_row(
            str(level),
            f"{figures.request_throughput:.2f}",
            f"{figures.output_throughput:.1f}",
            *cells,
            str(figures.failed),
        )
    return table


def _latencies(figures: Figures, title: str) -> Table:
    shares = list(figures.spreads["ttft"].percentiles)
    table = Table("ms", "mean", "median", *(f"p{share:g}" for share in shares), title=title or None)
    for column in table.columns[1:]:
        column.justify = "right"
    for term, (name, _) in (ALL_TERMS if figures.begins_empty else TERMS).items():
        spread = figures.spreads[term]
        values = [spread.mean, spread.median, *spread.percentiles.values()]
        table.add_row(name, *(f"{value:.2f}" if figures.completed else "-" for value in values))
    return table


def _amounts(figures: Figures) -> Table:
    table = Table("", "total", "a second")
    for column in table.columns[1:]:
        column.justify = "right"
    rows: list[tuple[str, str, str]] = [
        ("requests answered", f"{figures.completed}", f"{figures.request_throughput:.2f}"),
        ("input tokens", f"{figures.input_tokens}", f"{figures.input_throughput:.1f}"),
        ("  of them cached", f"{figures.cached_tokens}", ""),
        ("output tokens", f"{figures.output_tokens}", f"{figures.output_throughput:.1f}"),
        ("requests failed", f"{figures.failed - figures.refused}", ""),
        ("requests refused (429)", f"{figures.refused}", ""),
        ("most at once", f"{figures.most_running}", ""),
        ("seconds", f"{figures.seconds:.2f}", ""),
        ("client's CPU seconds", f"{figures.cpu_seconds:.2f}", f"{figures.cpu_seconds / figures.seconds:.1%}"),
    ]
    if figures.good is not None:
        rows.insert(1, ("  that met the goals", f"{figures.good}", f"{figures.good / figures.seconds:.2f}"))
    for row in rows:
        table.add_row(*row)
    return table


def _highest(figures: Figures, term: str) -> float:
    shares: Sequence[float] = sorted(figures.spreads[term].percentiles)
    return figures.spreads[term].percentiles[99.0 if 99.0 in shares else shares[-1]]
