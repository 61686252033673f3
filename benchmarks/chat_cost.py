"""`python -m benchmarks.chat_cost`: what laying out and tokenising a conversation of 20 turns costs in the front.

The limit that it is measured against: 2 ms on one core, for nothing else runs in the front process meanwhile.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from portico.demo import demo_folder
from portico.protocol.request import ChatPrompt, GenerationRequest
from portico.protocol.sampling import SamplingParams
from portico.text.known import known_after
from portico.text.model import TextModel

LIMIT_MS = 2.0
QUESTION = "What is the capital of country number {turn}? Tell me something about its history and its rivers, please."
ANSWER = (
    "The capital is Paris. It stands at the Seine, and has a long history; many rivers meet near it. 法国的首都是巴黎。"
)


def conversation(turns: int) -> list[dict[str, str]]:
    """Questions and answers in turn, a question last."""
    talk = []
    for turn in range(turns):
        talk.append({"role": "user", "content": QUESTION.format(turn=turn)})
        talk.append({"role": "assistant", "content": ANSWER})
    return talk[:-1]


def after_a_turn(model: TextModel, talk: list[dict[str, str]]) -> GenerationRequest:
    """The same conversation, of which all but the last question is known in tokens."""
    earlier = GenerationRequest("x", ChatPrompt(talk[:-2]), SamplingParams())
    answer = model.tokenizer.encode(talk[-2]["content"], add_special_tokens=False)
    known = known_after(
        model.laid_out(ChatPrompt(talk[:-2])), model.prompt_ids(earlier, 2**31), answer, model.tokenizer
    )
    return GenerationRequest("x", ChatPrompt(talk, known=known), SamplingParams())


def milliseconds(work: Callable[[], object], times: int) -> float:
    """The median of so many runs."""
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken) * 1000


def main() -> None:
    """Print the parts and the whole."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=demo_folder(), help="a model folder (default: the bundled one)")
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--times", type=int, default=300)
    arguments = parser.parse_args()
    model = TextModel.load(arguments.model)
    talk = conversation(arguments.turns)
    text = model.template.render(talk)
    request = GenerationRequest("x", ChatPrompt(talk), SamplingParams())
    whole = milliseconds(lambda: model.prompt_ids(request, 2**31), arguments.times)
    template = milliseconds(lambda: model.template.render(talk), arguments.times)
    tokens = len(model.prompt_ids(request, 2**31))
    print(f"{arguments.turns} turns, {len(text)} characters, {tokens} tokens")
    print(f"  chat template {template:6.3f} ms")
    print(f"  tokenising    {whole - template:6.3f} ms")
    print(f"  both          {whole:6.3f} ms (limit {LIMIT_MS:g} ms)")
    later = after_a_turn(model, talk)
    assert model.prompt_ids(later, 2**31) == model.prompt_ids(request, 2**31)
    known = milliseconds(lambda: model.prompt_ids(later, 2**31), arguments.times)
    print(f"  both          {known:6.3f} ms where the server keeps the conversation")


if __name__ == "__main__":
    main()
