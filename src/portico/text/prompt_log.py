"""Prompts in the log, for whoever asks for that."""

from __future__ import annotations

import logging

import msgspec

from portico.logs import about
from portico.protocol.messages import Add
from portico.text.model import TextModel

log = logging.getLogger(__name__)


class PromptLog:
    """Writes what requests ask the model, cut to a number of characters."""

    def __init__(self, most_characters: int | None = None) -> None:
        self._most = most_characters

    def write(self, add: Add, model: TextModel) -> None:
        """The prompt as the model reads it, special tokens included, and the parameters that were settled on."""
        prompt = model.tokenizer.decode(add.prompt_ids, skip_special_tokens=False)[: self._most]
        params = {name: value for name, value in msgspec.to_builtins(add.params).items() if value not in (None, [], {})}
        extra = about(add.request_id, prompt=prompt, prompt_tokens=len(add.prompt_ids), n=add.n, params=params)
        log.info("%s: prompt %r, n %d, %s", add.request_id, prompt, add.n, params, extra=extra)
