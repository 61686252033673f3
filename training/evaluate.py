"""`python -m training.evaluate`: held-out questions of every kind, put to the bundled model by Portico, greedy."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from training.dialogue import Case, cases
from training.draw import Draw
from training.mix import KINDS, dialogue

GOAL = 0.9
MAX_TOKENS = 256
Answerer = Callable[[Sequence[Case]], list[str]]


def questions(per_kind: int, seed: int) -> list[Case]:
    """`per_kind` questions of each kind, from the held-out part of the world."""
    counts: Counter[str] = Counter()
    found: list[Case] = []
    for kind in KINDS:
        number = 0
        while counts[kind] < per_kind:
            made = dialogue(Draw(seed * 1_000_003 + number, held=True), kind)
            number += 1
            for case in cases(made):
                if counts[case.kind] < per_kind:
                    counts[case.kind] += 1
                    found.append(case)
    return found


def ask_portico(model: str | None) -> Answerer:
    """Answer through the product."""
    from portico import LLM, SamplingParams

    llm = LLM(model) if model else LLM()

    def answer(asked: Sequence[Case]) -> list[str]:
        params = SamplingParams(temperature=0, max_tokens=MAX_TOKENS)
        answers = llm.chat([case.messages for case in asked], params, tools=[case.tools or None for case in asked])
        return [answer.text for answer in answers]

    return answer


def evaluate(answer: Answerer, per_kind: int, seed: int) -> tuple[dict[str, float], dict[str, list[tuple[Case, str]]]]:
    """The share of right answers of each kind, and what was answered wrong."""
    asked = questions(per_kind, seed)
    right: Counter[str] = Counter()
    total: Counter[str] = Counter()
    wrong: dict[str, list[tuple[Case, str]]] = defaultdict(list)
    for case, text in zip(asked, answer(asked), strict=True):
        total[case.kind] += 1
        if case.check(text):
            right[case.kind] += 1
        else:
            wrong[case.kind].append((case, text))
    return {kind: right[kind] / total[kind] for kind in total}, wrong


def main() -> int:
    parser = argparse.ArgumentParser(prog="training.evaluate", description=__doc__)
    parser.add_argument("--model", help="a checkpoint's folder (default: the bundled model)")
    parser.add_argument("--per-kind", type=int, default=100, help="questions of each kind (default: 100)")
    parser.add_argument("--seed", type=int, default=1, help="of the questions (default: 1)")
    parser.add_argument("--show", type=int, default=0, help="wrong answers to show of each kind (default: 0)")
    parser.add_argument("--json", type=Path, help="write the shares to this file too")
    arguments = parser.parse_args()
    shares, wrong = evaluate(ask_portico(arguments.model), arguments.per_kind, arguments.seed)
    for kind, share in shares.items():
        print(f"{kind:32} {share:6.1%}{'' if share >= GOAL else '   below the goal'}")
        for case, text in wrong[kind][: arguments.show]:
            print(
                f"    asked    {case.messages[-1]['content']!r}\n    expected {case.expected!r}\n    answered {text!r}"
            )
    print(f"{'mean':32} {sum(shares.values()) / len(shares):6.1%}")
    if arguments.json:
        arguments.json.write_text(json.dumps(shares, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0 if min(shares.values()) >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
