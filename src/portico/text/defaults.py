"""From what a person asked to what the engine obeys: the model's own defaults, limits, end tokens and seed."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from portico.errors import CheckpointError, ConfigError, RequestError
from portico.protocol.sampling import Beams, Grammar, SamplingParams, ThinkingLimit, TokenParams
from portico.weights.files import read_json

T = TypeVar("T", int, float)

MAX_TOP_K = 2**31 - 1  # more than any vocabulary, and small enough for a message
NUMERIC_FIELDS = ("temperature", "top_p", "top_k", "min_p", "typical_p", "repetition_penalty")


@dataclass(frozen=True, slots=True)
class SamplingDefaults:
    """Sampling fields that a request may leave out; the values here are neutral."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    typical_p: float = 1.0
    repetition_penalty: float = 1.0

    @classmethod
    def choose(cls, choice: str | None, folder: str | Path) -> SamplingDefaults:
        """As `TextOptions.generation_config` says for the model in `folder`; ConfigError for a folder without any."""
        if choice is None:
            return cls()
        if choice == "auto":
            return cls.load(folder)
        if not (Path(choice) / "generation_config.json").is_file():
            raise ConfigError(
                f"generation_config is {choice}; there is no generation_config.json. Give auto, none, or its folder."
            )
        return cls.load(choice)

    @classmethod
    def load(cls, folder: str | Path) -> SamplingDefaults:
        """Read the numeric fields of generation_config.json; `do_sample` decides nothing, as in vLLM."""
        path = Path(folder) / "generation_config.json"
        given = {name: value for name, value in read_json(path).items() if name in NUMERIC_FIELDS and value is not None}
        for name, value in given.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise CheckpointError(f"{path}: {name} is {value!r}; a number was expected.")
        try:
            SamplingParams(**given).validate()
        except RequestError as error:
            raise CheckpointError(f"{path}: {error.message}") from error
        return cls(**given)

    def but(self, overrides: Mapping[str, float]) -> SamplingDefaults:
        """The same with other values for some; ConfigError for a field or a value that cannot be."""
        unknown = sorted(overrides.keys() - set(NUMERIC_FIELDS))
        if unknown:
            raise ConfigError(
                f"override_generation_config has {unknown[0]!r}; it may have {', '.join(NUMERIC_FIELDS)}."
            )
        given: dict[str, Any] = dict(overrides)
        try:
            SamplingParams(**given).validate()
        except RequestError as error:
            raise ConfigError(f"override_generation_config: {error.message}") from error
        return replace(self, **given)


class Seeds:
    """Seeds for requests that bring none: the digests of a number and of how many came before; or chance."""

    def __init__(self, seed: int | None) -> None:
        self._seed = seed
        self._drawn = itertools.count()

    def draw(self) -> int:
        """The next one, of 64 bits; may be called from several threads."""
        if self._seed is None:
            return int.from_bytes(os.urandom(8))
        told = f"{self._seed}/{next(self._drawn)}".encode()
        return int.from_bytes(hashlib.blake2b(told, digest_size=8).digest())


def resolve(
    sampling: SamplingParams,
    defaults: SamplingDefaults,
    *,
    seeds: Seeds,
    room: int,
    bad_words: Sequence[Sequence[int]] = (),
    eos_token_ids: Sequence[int],
    grammar: str | None = None,
    thinking: ThinkingLimit | None = None,
) -> TokenParams:
    """The engine's parameters for an answer that has room for so many tokens, and will have no more.

    `grammar` is what the answer is held to, compiled, and `thinking` where its thinking ends.
    """
    beams = None
    if sampling.num_beams is not None:
        beams = Beams(sampling.num_beams, sampling.length_penalty, sampling.early_stopping)
    return TokenParams(
        max_tokens=min(_either(sampling.max_tokens, room), room),
        seed=seeds.draw() if sampling.seed is None else sampling.seed % 2**64,  # negative ones wrap
        temperature=_either(sampling.temperature, defaults.temperature),
        top_p=_either(sampling.top_p, defaults.top_p),
        top_k=min(max(_either(sampling.top_k, defaults.top_k), 0), MAX_TOP_K),
        min_p=_either(sampling.min_p, defaults.min_p),
        typical_p=_either(sampling.typical_p, defaults.typical_p),
        presence_penalty=sampling.presence_penalty,
        frequency_penalty=sampling.frequency_penalty,
        repetition_penalty=_either(sampling.repetition_penalty, defaults.repetition_penalty),
        stop_token_ids=tuple(
            dict.fromkeys((*(() if sampling.ignore_eos else eos_token_ids), *sampling.stop_token_ids))
        ),
        min_tokens=sampling.min_tokens,
        logit_bias=tuple(sampling.logit_bias.items()),
        allowed_token_ids=tuple(dict.fromkeys(sampling.allowed_token_ids or ())),
        bad_words=tuple(tuple(word) for word in bad_words),
        logprobs=sampling.logprobs,
        prompt_logprobs=sampling.prompt_logprobs,
        grammar=None if grammar is None else Grammar(grammar, tuple(eos_token_ids)),
        thinking=thinking,
        beams=beams,
    )


def _either(asked: T | None, default: T) -> T:
    return default if asked is None else asked
