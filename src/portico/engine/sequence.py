"""What the engine knows of a request: one `Sequence` for each choice, and the `Request` that holds them together."""

from __future__ import annotations

from array import array
from collections.abc import Sequence as ListOf
from dataclasses import dataclass, field

from portico.engine.beams import BeamSearch
from portico.engine.blocks import ROOT
from portico.engine.plan import Candidates, Draw, Pool, Score
from portico.protocol.messages import TokenLogprobs
from portico.protocol.sampling import TokenParams

TOKENS = "q"
"""Token ids are kept as an `array` of int64, which becomes a tensor without a look at each."""


@dataclass(slots=True, eq=False)
class Sequence:
    """One choice on its way: its tokens, how many of them are computed, and the blocks that hold them."""

    id: int
    request: Request
    choice: int
    output_ids: array[int] = field(default_factory=lambda: array(TOKENS))
    computed: int = 0
    """Tokens whose keys and values are in the blocks."""
    blocks: list[int] = field(default_factory=list)
    registered: int = 0
    """Leading blocks that are in the prefix index."""
    node: int = ROOT
    """Trie node of the last registered block."""
    cached_tokens: int = 0
    """Prompt tokens found in the prefix index at the first admission."""
    drawn_from: int = 0
    """Tokens that were computed when the latest token was drawn."""
    charged: int = 0
    """Leading tokens that its owner has been charged for; 0 until it first runs."""
    candidates: Candidates | None = None
    """A beam's possible next tokens, while it waits for those of the other beams."""
    logprobs: list[TokenLogprobs] = field(default_factory=list)
    """A beam's, of its output tokens, where the request asked for them: nothing is told before the search ends."""

    @property
    def params(self) -> TokenParams:
        return self.request.params

    @property
    def length(self) -> int:
        """Tokens of prompt and output so far."""
        return len(self.request.prompt_ids) + len(self.output_ids)

    @property
    def remaining(self) -> int:
        """Tokens to compute before the next one can be drawn; 1 means decoding, 0 waiting for the other beams."""
        return self.length - self.computed

    @property
    def decodes(self) -> bool:
        """Whether all is computed but the last token or what the latest draw brought."""
        return self.remaining == 1 or self.computed >= self.drawn_from > 0

    @property
    def reads_all(self) -> bool:
        """Whether something is told of every prompt token; then all must be computed, known prefix or not."""
        pooling = self.params.pooling
        return self._wants_scores or (pooling is not None and pooling.kind != "last")

    @property
    def _wants_scores(self) -> bool:
        asked = self.params.prompt_logprobs is not None and self.choice == 0
        return asked and len(self.request.scored) < len(self.request.prompt_ids) - 1

    def score(self, start: int, stop: int) -> Score | None:
        """The wish for scores that goes with computing positions start … stop - 1."""
        targets = self.request.prompt_ids[start + 1 : stop + 1]
        if not (self._wants_scores and targets):
            return None
        assert self.params.prompt_logprobs is not None
        return Score(targets, self.params.prompt_logprobs)

    def pool(self) -> Pool | None:
        """The wish for the prompt's vector that goes with computing any part of it."""
        pooling, request = self.params.pooling, self.request
        return None if pooling is None else Pool(pooling, request.pooled, len(request.prompt_ids))

    def tokens(self, start: int, stop: int) -> array[int]:
        """Token ids at positions start … stop - 1."""
        prompt = self.request.prompt_ids
        split = len(prompt)
        if start >= split:
            return self.output_ids[start - split : stop - split]
        return prompt[start:stop] + self.output_ids[: max(0, stop - split)]

    def draw(self) -> Draw:
        """The wish for this sequence's next token."""
        search = self.request.search
        candidates = 0 if search is None else search.candidates_wanted
        return Draw(
            self.params, self.choice, len(self.output_ids), self.request.prompt_ids, self.output_ids, candidates
        )


@dataclass(slots=True, eq=False)
class Request:
    """A prompt and its choices. All but the first choice wait until the prompt is computed, then share its blocks.

    Under beam search its sequences are the beams that go on, none of them a choice yet; they run in the same steps.
    """

    id: str
    prompt_ids: array[int]
    params: TokenParams
    n: int
    """Choices to give."""
    search: BeamSearch | None
    sequences: list[Sequence] = field(default_factory=list)
    """Choices that are not finished."""
    scored: list[TokenLogprobs] = field(default_factory=list)
    """Log-probabilities of the prompt's tokens from the second on, as far as they are computed and asked for."""
    pooled: ListOf[float] = ()
    """The prompt's vector, or what there is of it."""
    held: list[Sequence] = field(default_factory=list)
    """Those of them that wait for the first one to compute the prompt."""
    owner: int = 0
    """Who shares the engine with others, each getting as much as the next."""
    priority: int = 0
    """Lower goes first, among requests of one owner."""
    rank: int = 0
    """Lower goes first, whoever the owners are."""
    arrival: int = 0
    """How many requests came before."""
    scheduled: float | None = None
    """When the first of its sequences was given a place."""

    @property
    def width(self) -> int:
        """Places in the batch that each of its sequences, or its beams together, need."""
        return 1 if self.search is None else self.search.beams.width
