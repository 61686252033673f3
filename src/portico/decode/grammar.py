"""Following grammars: which tokens may come next in an answer that must have a form."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from llguidance import LLMatcher, LLTokenizer
from torch import Tensor

from portico.errors import EngineError
from portico.protocol.sampling import Grammar

MOST_KEPT = 1024
"""Sequences whose place in their grammar is remembered; that of another is found again by reading its tokens."""


@dataclass(slots=True)
class _Place:
    """How far a sequence's grammar has been followed."""

    matcher: LLMatcher
    read: int
    """Output tokens that the matcher knows."""


class Grammars:
    """The grammars of one model's running sequences."""

    def __init__(self, tokenizer_json: Path, vocab_size: int) -> None:
        self._tokenizer_json = tokenizer_json
        self._vocab_size = vocab_size
        self._tokenizers: dict[tuple[int, ...], LLTokenizer] = {}
        self._places: OrderedDict[int, _Place] = OrderedDict()

    def allowed(self, sequence_id: int, grammar: Grammar, output_ids: Sequence[int]) -> Tensor:
        """Which tokens [vocab] may follow; an answer that is complete may only end.

        Raises EngineError if the grammar cannot be followed, for it is too complex or its tokens do not match it.
        """
        place = self._places.pop(sequence_id, None)
        if place is None or place.read > len(output_ids):
            place = _Place(LLMatcher(self._tokenizer(grammar), grammar.text), 0)
        self._places[sequence_id] = place
        while len(self._places) > MOST_KEPT:
            self._places.popitem(last=False)
        place.matcher.consume_tokens(list(output_ids[place.read :]))
        place.read = len(output_ids)
        words = np.frombuffer(place.matcher.compute_bitmask(), dtype=np.uint8)
        if place.matcher.is_error():
            raise EngineError(f"The grammar cannot be followed: {place.matcher.get_error()}")
        return torch.from_numpy(np.unpackbits(words, bitorder="little")[: self._vocab_size].view(np.bool_))

    def _tokenizer(self, grammar: Grammar) -> LLTokenizer:
        ends = grammar.eos_token_ids
        if ends not in self._tokenizers:
            text = self._tokenizer_json.read_text(encoding="utf-8")
            self._tokenizers[ends] = LLTokenizer(text, n_vocab=self._vocab_size, eos_token=list(ends))
        return self._tokenizers[ends]
