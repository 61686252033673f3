"""The engine alone, asked in tokens over its own messages."""

from __future__ import annotations

import itertools
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from portico.cli.serve import locate, read_options
from portico.client.bench.record import Exchange, Problem, Record, Turn
from portico.engine.client import AsyncEngineClient
from portico.engine.link import EngineProcess
from portico.errors import ConfigError, EngineError
from portico.protocol.messages import Add, Loaded
from portico.protocol.sampling import TokenParams
from portico.text.model import TextModel

FIELDS = (
    "temperature", "top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty", "repetition_penalty",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class EngineTarget:
    """An engine that runs."""

    client: AsyncEngineClient
    loaded: Loaded
    params: Mapping[str, Any]
    encode: Callable[[str], list[int]]
    numbers: Any

    async def ask(self, before: Sequence[Exchange], turn: Turn, keep: bool = False) -> Record:
        """The tokens of one answer as they come; never raises for what the engine does."""
        said = [self._ids(turn)]
        for exchange in reversed(before):
            said += [exchange.record.answer_ids, self._ids(exchange.turn)]
        prompt = [token for part in reversed(said) for token in part]
        most = self.loaded.max_model_len - len(prompt)
        if most < turn.max_tokens:
            what = f"{len(prompt)} tokens and {turn.max_tokens} new ones; there is room for {self.loaded.max_model_len}"
            return Record(time.perf_counter(), problem=Problem("too long", what))
        number = next(self.numbers)
        params = TokenParams(max_tokens=turn.max_tokens, seed=number, **self.params)
        record = Record(time.perf_counter(), input_tokens=len(prompt), counted=True)
        try:
            async for events in self.client.submit(Add(f"bench-{number}", prompt, params)):
                now = time.perf_counter()
                for event in events:
                    record.chunks.append(now)
                    record.output_tokens += len(event.token_ids)
                    record.cached_tokens = max(record.cached_tokens, event.cached_tokens)
                    if keep:
                        record.answer_ids += event.token_ids
                    if event.error is not None:
                        record.problem = Problem("engine", event.error)
        except EngineError as error:
            record.problem = Problem("engine", error.message)
        record.first_text = record.chunks[0] if record.chunks else None
        return record

    def _ids(self, turn: Turn) -> list[int]:
        if isinstance(turn.said, str):
            return self.encode(turn.said)
        if all(isinstance(token, int) for token in turn.said):
            return [token for token in turn.said if isinstance(token, int)]
        raise ConfigError("--engine knows no chats; --prompts must have texts")


@asynccontextmanager
async def engine_target(
    model: str | None, flags: Sequence[str], fields: Mapping[str, Any]
) -> AsyncIterator[EngineTarget]:
    """Start an engine as `portico serve` would and end it afterwards; ConfigError or EngineError if it cannot be."""
    params = {name: value for name, value in fields.items() if name != "ignore_eos"}
    for name in params:
        if name not in FIELDS:
            raise ConfigError(f"--engine does not know the field {name}; it knows {', '.join(FIELDS)}")
    options = read_options([*([] if model is None else [model]), *flags]).options
    folder = locate(options, options.model.model)
    text = TextModel.load(folder, options.text(None))
    if params.get("top_k") == -1:
        params["top_k"] = 0
    if not fields.get("ignore_eos"):
        params["stop_token_ids"] = tuple(text.tokenizer.eos_token_ids)
    process = EngineProcess(options.engine(str(folder), None))
    client = AsyncEngineClient(process)
    try:
        try:
            loaded = await client.wait_loaded()
        except EngineError:
            raise EngineError(client.failure() or "the engine did not start") from None
        encode = partial(text.tokenizer.encode, add_special_tokens=True)
        yield EngineTarget(client, loaded, params, encode, itertools.count(1))
    finally:
        await client.close()
