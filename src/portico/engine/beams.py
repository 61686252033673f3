"""Beam search: which continuations of a request's beams go on, and which are its answers.

The rules are those of transformers' `generate` with `num_beams` and without sampling, so that the results are the same.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field

from portico.engine.plan import Candidates
from portico.protocol.messages import TokenLogprobs
from portico.protocol.sampling import Beams, TokenParams


@dataclass(frozen=True, slots=True)
class Step:
    """A continuation of a beam by one token."""

    beam: int
    """Index of the beam among those that were running."""
    token: int
    logprobs: TokenLogprobs
    score: float
    """Sum of the log-probabilities of all output tokens."""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A finished answer."""

    output_ids: list[int]
    logprobs: list[TokenLogprobs]
    score: float
    """Sum of log-probabilities divided by (number of output tokens) ** length_penalty."""


@dataclass(slots=True)
class BeamSearch:
    """The state of one request's search."""

    beams: Beams
    params: TokenParams
    max_tokens: int
    scores: list[float] = field(default_factory=lambda: [0.0])
    """Of the running beams; at first there is one, the prompt."""
    finished: list[Hypothesis] = field(default_factory=list)
    """The best so far, best first; no more than there are beams."""
    done: bool = False

    @property
    def candidates_wanted(self) -> int:
        """How many of each beam's likeliest tokens must be known: enough for all beams, should these end too."""
        return max(self._compared, self.params.logprobs or 0)

    @property
    def _compared(self) -> int:
        return self.beams.width * max(2, 1 + len(self.params.stop_token_ids))

    def advance(
        self,
        outputs: Sequence[Sequence[int]],
        candidates: Sequence[Candidates],
        logprobs: Sequence[list[TokenLogprobs]],
    ) -> list[Step]:
        """Continue beams, of which these are the output tokens, by one token each; the steps that go on, best first.

        Steps that end their beam join `finished` if they are among the best. `done` says that nothing goes on.
        """
        width, length = self.beams.width, len(outputs[0]) + 1
        best = self._best(candidates)
        going_on = [step for step in best if not self._ends(step.token, length)][:width]
        for step in best[:width]:
            if self._ends(step.token, length):
                score = step.score / length**self.beams.length_penalty
                told = [*logprobs[step.beam], step.logprobs]
                self.finished.append(Hypothesis([*outputs[step.beam], step.token], told, score))
        self.finished.sort(key=lambda hypothesis: -hypothesis.score)
        del self.finished[width:]
        self.scores = [step.score for step in going_on]
        self.done = not going_on or self._good_enough(length)
        return [] if self.done else going_on

    def _best(self, candidates: Sequence[Candidates]) -> list[Step]:
        steps = (
            (score + logprob, beam, place)
            for beam, (score, found) in enumerate(zip(self.scores, candidates, strict=True))
            for place, logprob in enumerate(found.logprobs)
        )
        best = heapq.nsmallest(self._compared, steps, key=lambda step: (-step[0], step[1], step[2]))
        return [self._step(candidates[beam], place, beam, score) for score, beam, place in best]

    def _step(self, found: Candidates, place: int, beam: int, score: float) -> Step:
        told = self.params.logprobs or 0
        top_ids, top = list(found.token_ids[:told]), list(found.logprobs[:told])
        return Step(beam, found.token_ids[place], TokenLogprobs(found.logprobs[place], place + 1, top_ids, top), score)

    def _ends(self, token: int, length: int) -> bool:
        return token in self.params.stop_token_ids or length >= self.max_tokens

    def _good_enough(self, length: int) -> bool:
        """Whether there are enough answers and, unless that is enough, no beam is likely to beat the worst of them."""
        if len(self.finished) < self.beams.width:
            return False
        if self.beams.early_stopping is True:
            return True
        penalty = self.beams.length_penalty
        reached = self.max_tokens if self.beams.early_stopping == "never" and penalty > 0 else length
        hope: float = self.scores[0] / reached**penalty
        return hope <= self.finished[-1].score
