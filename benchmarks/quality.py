"""`python -m benchmarks.quality`: what weights of few bits do to the bundled model's predictions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from portico import LLM, SamplingParams
from training.dialogue import cases
from training.draw import Draw
from training.mix import KINDS, dialogue

FORMATS: tuple[Literal["none", "int8", "int4"], ...] = ("none", "int8", "int4")
READ = SamplingParams(max_tokens=0, prompt_logprobs=0)


def main() -> None:
    talks = held_out_talks()
    table = Table("weights", "perplexity of answers", "mean change of a log-probability", "same greedy answers")
    reference: list[list[float]] = []
    said: list[str] = []
    for name in FORMATS:
        llm = LLM(quantization=name, kv_cache_memory=1 << 28)
        scores = answer_logprobs(llm, talks)
        answers = [
            a.text for a in llm.chat([talk[:-1] for talk in talks], SamplingParams(temperature=0, max_tokens=64))
        ]
        reference, said = reference or scores, said or answers
        values = [value for talk in scores for value in talk]
        changes = [
            abs(a - b) for one, two in zip(scores, reference, strict=True) for a, b in zip(one, two, strict=True)
        ]
        same = sum(a == b for a, b in zip(answers, said, strict=True)) / len(said)
        perplexity = math.exp(-sum(values) / len(values))
        table.add_row(name, f"{perplexity:.4f}", f"{sum(changes) / len(changes):.4f}", f"{same:.1%}")
    Console().print(table)


def held_out_talks(each: int = 20) -> list[list[dict[str, Any]]]:
    """Dialogues of every kind that need no tools, from the part of the world that training never sees."""
    first = [cases(dialogue(Draw(5_000_011 + seed, held=True), kind))[0] for kind in KINDS for seed in range(each)]
    return [[*case.messages, {"role": "assistant", "content": case.expected}] for case in first if not case.tools]


def answer_logprobs(llm: LLM, talks: Sequence[Sequence[dict[str, Any]]]) -> list[list[float]]:
    """Log-probabilities of the tokens of each dialogue's last turn."""
    whole = llm.chat(talks, READ)
    asked = llm.chat([talk[:-1] for talk in talks], READ)
    return [
        [info.token.logprob or 0.0 for info in told.prompt_logprobs[len(question.prompt_ids) :]]
        for told, question in zip(whole, asked, strict=True)
    ]


if __name__ == "__main__":
    main()
