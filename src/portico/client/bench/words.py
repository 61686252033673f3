"""Texts of a wanted number of tokens for a server whose tokenizer is not here."""

from __future__ import annotations

import json
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from portico.client.bench.record import Turn
from portico.client.bench.stream import Target
from portico.client.bench.wire import Wire

COMMON = (
    "time year people way day man thing woman life child world school state family student group country problem hand "
    "part place case week company system program question work government number night point home water room mother "
    "area money story fact month lot right study book eye job word business issue side kind head house service friend "
    "father power hour game line end member law car city name team minute idea body back parent face level office door "
    "health person art war history party result change morning reason research girl guy moment air teacher force"
).split()
REPEATED = 9
ENOUGH = 16
"""Words of one token each, to make texts of an exact length from."""

Count = Callable[[str], Awaitable[int]]
"""The number of tokens of a text."""


@dataclass(frozen=True, slots=True)
class Words:
    """Words, and what texts of them come to in tokens."""

    words: Sequence[str]
    tokens_each: float
    beside: float = 0.0
    """Tokens of any text, such as one that begins it."""
    exact: bool = False

    def text(self, tokens: int, rng: random.Random) -> str:
        """A text of about so many tokens, or exactly so many."""
        wanted = max(1, round((tokens - self.beside) / self.tokens_each))
        return " ".join(rng.choices(self.words, k=wanted))


async def learn(count: Count) -> Words:
    """Find out which words are one token each; where too few are, what all of them come to."""
    first = COMMON[0]
    beside = await _beside(count, first)
    single = [word for word in COMMON if await count(" ".join([word] * REPEATED)) - beside == REPEATED]
    if len(single) >= ENOUGH:
        return Words(single, 1.0, beside, exact=True)
    return await measure(count)


async def measure(count: Count) -> Words:
    """What words come to in tokens, from two texts of all of them: right on average."""
    once, thrice = await count(" ".join(COMMON)), await count(" ".join(COMMON * 3))
    each = (thrice - once) / (2 * len(COMMON))
    return Words(COMMON, each, once - each * len(COMMON)) if each > 0 else Words(COMMON, 1.0)


async def _beside(count: Count, word: str) -> int:
    once, twice = await count(word), await count(f"{word} {word}")
    return 2 * once - twice


async def words_of(target: Target) -> Words:
    """Texts for a server: by its POST /tokenize, else by what it says that two prompts cost, else words as tokens.

    Raises WireError if the server cannot be reached.
    """
    chat = target.backend == "openai-chat"
    if await _tokenize(target.wire, target.model, "a", special=False) is not None:

        async def count(text: str) -> int:
            return await _tokenize(target.wire, target.model, text, special=not chat) or 0

        return await learn(count)

    async def ask(text: str) -> int:
        return (await target.ask((), Turn(text, 1))).input_tokens

    words = await measure(ask)
    # What a chat template adds is no part of what is said.
    return Words(words.words, words.tokens_each) if chat else words


async def _tokenize(wire: Wire, model: str, text: str, *, special: bool) -> int | None:
    """The server's count; None if it has none."""
    body = json.dumps({"model": model, "prompt": text, "add_special_tokens": special}).encode()
    answer = await wire.ask("POST", "/tokenize", body)
    if answer.status != 200:
        return None
    try:
        count = json.loads(answer.body)["count"]
    except (ValueError, KeyError, TypeError):
        return None
    return count if isinstance(count, int) else None
