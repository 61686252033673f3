"""`python -m benchmarks.quality`: what weights, keys and values of few bits do to the bundled model's predictions.

Portico's formats as they run, where activations become bytes too; and, beside those of llama.cpp's files, the weights
alone: rounded to a format and back, computed in float32.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks import rounding
from portico import LLM, SamplingParams
from portico.config.engine import EngineConfig, KVDtypeName
from portico.demo import demo_folder
from portico.engine.plan import Row
from portico.run.batch import BatchBuilder
from portico.run.build import build_runner
from training.dialogue import cases
from training.draw import Draw
from training.mix import KINDS, dialogue

CACHE = 1 << 28
"""Bytes for keys and values."""


@dataclass(frozen=True, slots=True)
class Variant:
    """The model with its weights kept in one way."""

    name: str
    bits: float
    """Of a weight of the layers, scales included."""
    quantization: Literal["none", "int8", "int4"] = "none"
    rounding: tuple[rounding.Rounding, rounding.Rounding] | None = None
    """Of the layers, and of embedding and head. llama.cpp would give these six bits in its Q4_0 files."""
    kv: KVDtypeName = "auto"
    """What keys and values are kept in."""


VARIANTS = [
    Variant("none", 32),
    Variant("none, keys and values int8", 32, kv="int8"),
    Variant("int8", 8.25, "int8"),
    Variant("int8, keys and values int8", 8.25, "int8", kv="int8"),
    Variant("int4", 4.5, "int4"),
    Variant("int8, weights alone", 8.25, rounding=(rounding.int8, rounding.int8)),
    Variant("Q8_0, weights alone", 8.5, rounding=(rounding.q8_0, rounding.q8_0)),
    Variant("int4, weights alone", 4.5, rounding=(rounding.int4, rounding.int8)),
    Variant("Q4_0, weights alone", 4.5, rounding=(rounding.q4_0, rounding.q8_0)),
]


@dataclass(frozen=True, slots=True)
class Talk:
    """A dialogue whose last turn is the answer that is scored."""

    token_ids: Sequence[int]
    asked: int
    """Tokens before the answer."""


def main() -> None:
    told = held_out_talks()
    talks = _talks(told)
    table = Table(
        "weights", "bits", "error of weights", "error of logits", "perplexity of answers", "same greedy answers"
    )
    exact: list[Tensor] = []
    said: list[str] = []
    for variant in VARIANTS:
        with _folder(variant) as (folder, off):
            found = answer_logits(folder, variant.quantization, talks, variant.kv)
            answers = _greedy(folder, variant, told)
        exact, said = exact or found, said or answers
        table.add_row(
            variant.name,
            f"{variant.bits:g}",
            f"{off:.4f}" if off else "",
            f"{_relative(found, exact):.4f}",
            f"{_perplexity(found, talks):.4f}",
            f"{sum(a == b for a, b in zip(answers, said, strict=True)) / len(said):.1%}",
        )
    Console(width=120).print(table)


def held_out_talks(each: int = 20) -> list[list[dict[str, Any]]]:
    """Dialogues of every kind that need no tools, from the part of the world that training never sees."""
    first = [cases(dialogue(Draw(5_000_011 + seed, held=True), kind))[0] for kind in KINDS for seed in range(each)]
    return [[*case.messages, {"role": "assistant", "content": case.expected}] for case in first if not case.tools]


def answer_logits(
    folder: Path, quantization: Literal["none", "int8", "int4"], talks: Sequence[Talk], kv: KVDtypeName = "auto"
) -> list[Tensor]:
    """Logits [tokens, vocab] from which the tokens of each answer are predicted."""
    config = EngineConfig(
        model_path=str(folder), quantization=quantization, kv_cache_memory=CACHE, kv_cache_dtype=kv, threads=1
    )
    runner, loaded = build_runner(config)
    builder = BatchBuilder(runner.decoder, loaded.block_size)
    found = []
    with torch.inference_mode():
        for talk in talks:
            blocks = list(range(1, 1 + math.ceil(len(talk.token_ids) / loaded.block_size)))
            row = Row(sequence_id=0, token_ids=list(talk.token_ids), start=0, blocks=blocks, draw=None)
            batch, _ = builder.build([row])
            places = torch.arange(talk.asked - 1, len(talk.token_ids) - 1)
            hidden = runner.decoder(replace(batch, draws=places), runner.cache)
            found.append(runner.decoder.logits(hidden).float())
    return found


def _talks(told: Sequence[list[dict[str, Any]]]) -> list[Talk]:
    """As tokens; what the template lays out after the token that ends the answer is left out."""
    end = json.loads((demo_folder() / "config.json").read_text())["eos_token_id"]
    llm, read = LLM(kv_cache_memory=CACHE, threads=1), SamplingParams(max_tokens=0, prompt_logprobs=0)
    whole, questions = llm.chat(told, read), llm.chat([talk[:-1] for talk in told], read)
    asked = [len(question.prompt_ids) for question in questions]
    return [
        Talk(a.prompt_ids[: a.prompt_ids.index(end, count) + 1], count) for a, count in zip(whole, asked, strict=True)
    ]


def _greedy(folder: Path, variant: Variant, told: Sequence[list[dict[str, Any]]]) -> list[str]:
    llm = LLM(
        str(folder),
        quantization=variant.quantization,
        kv_cache_memory=CACHE,
        kv_cache_dtype=variant.kv,
        threads=1,
    )
    return [a.text for a in llm.chat([talk[:-1] for talk in told], SamplingParams(temperature=0, max_tokens=64))]


@contextmanager
def _folder(variant: Variant) -> Iterator[tuple[Path, float | None]]:
    """The checkpoint that the variant runs, and how far its weights are off."""
    if variant.rounding is None:
        yield demo_folder(), None
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder), rounding.rounded_checkpoint(demo_folder(), Path(folder), *variant.rounding)


def _relative(found: Sequence[Tensor], exact: Sequence[Tensor]) -> float:
    off = sum(float((a - b).square().sum()) for a, b in zip(found, exact, strict=True))
    return math.sqrt(off / sum(float(b.square().sum()) for b in exact))


def _perplexity(found: Sequence[Tensor], talks: Sequence[Talk]) -> float:
    total = count = 0.0
    for logits, talk in zip(found, talks, strict=True):
        answer = torch.tensor(talk.token_ids[talk.asked :])
        total -= float(logits.log_softmax(-1).gather(-1, answer.unsqueeze(-1)).sum())
        count += len(answer)
    return math.exp(total / count)


if __name__ == "__main__":
    main()
