"""Following grammars: which tokens may come next in an answer that must have a form."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import torch
from llguidance import LLMatcher, LLParserLimits, LLTokenizer
from tokenizers import Tokenizer
from torch import Tensor

from portico.errors import EngineError
from portico.protocol.messages import GRAMMAR_PROBLEM
from portico.protocol.sampling import Grammar

_END = "<|the end of an answer|>"

MOST_KEPT = 1024
"""Sequences whose place in their grammar is remembered; that of another is found again by reading its tokens."""
MOST_COMPILED = 256
"""Grammars that are kept compiled for the next request with the same."""
MOST_STATES = 50_000
"""Of the lexer of one grammar, 1 to 2 kB each; one that needs more ends with an error."""


@dataclass(slots=True)
class _Place:
    """How far a sequence's grammar has been followed."""

    matcher: LLMatcher
    read: int
    """Output tokens that the matcher knows."""


class Grammars:
    """The grammars of one model's running sequences."""

    def __init__(self, read_tokenizer: Callable[[], Tokenizer], vocab_size: int) -> None:
        self._read_tokenizer = read_tokenizer
        self._vocab_size = vocab_size
        self._tokenizer: LLTokenizer | None = None
        self._end = -1
        self._preparing = Lock()
        self._compiled: OrderedDict[str, LLMatcher] = OrderedDict()
        self._compiling: dict[str, Future[LLMatcher]] = {}
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="compiler")
        self._places: OrderedDict[int, _Place] = OrderedDict()

    def prepare(self) -> None:
        """Do now what the first grammar would have to wait for: half a second for a vocabulary of 150,000."""
        with self._preparing:
            if self._tokenizer is None:
                self._tokenizer = self._make_tokenizer()

    def _make_tokenizer(self) -> LLTokenizer:
        # A token that the model does not say stands for the end, whichever tokens a request ends with.
        tokenizer = self._read_tokenizer()
        tokenizer.add_special_tokens([_END])
        self._end = int(tokenizer.token_to_id(_END) or 0)
        size = max(self._vocab_size, self._end + 1)
        return LLTokenizer(tokenizer.to_str(), n_vocab=size, eos_token=self._end)

    def ready(self, grammar: Grammar) -> bool:
        """Whether a grammar is compiled; that is begun if it is not, beside the steps, which it would hold up."""
        failed: set[str] = set()
        for text in [text for text, compiling in self._compiling.items() if compiling.done()]:
            compiling = self._compiling.pop(text)
            if compiling.exception() is None:
                self._keep(text, compiling.result())
            else:
                failed.add(text)
        if grammar.text in self._compiled or grammar.text in failed:  # the step will say what failed
            return True
        if grammar.text not in self._compiling:
            self._compiling[grammar.text] = self._beside.submit(self._new, grammar.text)
        return False

    def allowed(self, sequence_id: int, grammar: Grammar, output_ids: Sequence[int], *, forced_singly: bool) -> Tensor:
        """Which tokens may follow, as bits, int32 [vocab / 32], lowest first; an answer that is complete may only end.

        With `forced_singly` a text that must follow is spelt as `forced` spells it. Raises EngineError if the grammar
        cannot be followed, for it is too complex or its tokens do not match it.
        """
        matcher = self._matcher(sequence_id, grammar, output_ids)
        if forced_singly and (forced := self._forced(matcher)):
            bits = np.zeros(-(-self._vocab_size // 32), dtype=np.uint32)
            _set(bits, forced[0], to=True)
        else:
            bits = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint32).copy()
            _check(matcher)
            complete = bool(bits[self._end // 32] >> (self._end % 32) & 1)
            for token in (self._end, *grammar.eos_token_ids):
                _set(bits, token, to=complete and token != self._end)
        return torch.from_numpy(bits[: -(-self._vocab_size // 32)].view(np.int32))

    def forced(self, sequence_id: int, grammar: Grammar, output_ids: Sequence[int]) -> list[int]:
        """The tokens that must follow, for the grammar leaves no other text; the end of the answer is none of them."""
        return self._forced(self._matcher(sequence_id, grammar, output_ids))

    def _forced(self, matcher: LLMatcher) -> list[int]:
        return [token for token in matcher.compute_ff_tokens() if token != self._end]

    def _matcher(self, sequence_id: int, grammar: Grammar, output_ids: Sequence[int]) -> LLMatcher:
        """The matcher of a sequence's grammar behind these tokens."""
        place = self._places.pop(sequence_id, None)
        if place is None or place.read > len(output_ids):
            place = _Place(self._compile(grammar.text), 0)
        self._places[sequence_id] = place
        _trim(self._places, MOST_KEPT)
        place.matcher.consume_tokens(list(output_ids[place.read :]))
        place.read = len(output_ids)
        _check(place.matcher)
        return place.matcher

    def _compile(self, text: str) -> LLMatcher:
        matcher = self._compiled.pop(text, None) or self._new(text)
        self._keep(text, matcher)
        return matcher.deep_copy()

    def _keep(self, text: str, matcher: LLMatcher) -> None:
        self._compiled[text] = matcher
        _trim(self._compiled, MOST_COMPILED)

    def _new(self, text: str) -> LLMatcher:
        self.prepare()
        assert self._tokenizer is not None
        # Verbose errors quote the whole grammar.
        limits = LLParserLimits(max_lexer_states=MOST_STATES, verbose_errors=False)
        return LLMatcher(self._tokenizer, text, log_level=0, limits=limits)


def _set(bits: np.ndarray[tuple[int], np.dtype[np.uint32]], token: int, *, to: bool) -> None:
    bit = np.uint32(1 << token % 32)
    bits[token // 32] = bits[token // 32] | bit if to else bits[token // 32] & ~bit


def _trim(kept: OrderedDict[Any, Any], most: int) -> None:
    while len(kept) > most:
        kept.popitem(last=False)


def _check(matcher: LLMatcher) -> None:
    if matcher.is_error():
        raise EngineError(f"{GRAMMAR_PROBLEM}: {matcher.get_error()}")
