"""What the engine knows of a request: one `Sequence` for each choice, and the `Request` that holds them together."""

from __future__ import annotations

from dataclasses import dataclass, field

from portico.engine.blocks import ROOT
from portico.engine.plan import Draw, Score
from portico.protocol.messages import TokenLogprobs
from portico.protocol.sampling import TokenParams


@dataclass(slots=True, eq=False)
class Sequence:
    """One choice on its way: its tokens, how many of them are computed, and the blocks that hold them."""

    id: int
    request: Request
    choice: int
    output_ids: list[int] = field(default_factory=list)
    computed: int = 0
    """Tokens whose keys and values are in the blocks."""
    blocks: list[int] = field(default_factory=list)
    registered: int = 0
    """Leading blocks that are in the prefix index."""
    node: int = ROOT
    """Trie node of the last registered block."""
    scored: list[TokenLogprobs] = field(default_factory=list)
    """Log-probabilities of the prompt's tokens from the second on, as far as they are computed and asked for."""
    cached_tokens: int = 0
    """Prompt tokens found in the prefix index at the first admission."""

    @property
    def params(self) -> TokenParams:
        return self.request.params

    @property
    def length(self) -> int:
        """Tokens of prompt and output so far."""
        return len(self.request.prompt_ids) + len(self.output_ids)

    @property
    def remaining(self) -> int:
        """Tokens to compute before the next one can be drawn; 1 means decoding."""
        return self.length - self.computed

    @property
    def wants_scores(self) -> bool:
        """Whether prompt tokens are still to be scored; then they must be computed, known prefix or not."""
        asked = self.params.prompt_logprobs is not None and self.choice == 0
        return asked and len(self.scored) < len(self.request.prompt_ids) - 1

    def score(self, start: int, stop: int) -> Score | None:
        """The wish for scores that goes with computing positions start … stop - 1."""
        targets = self.request.prompt_ids[start + 1 : stop + 1]
        if not (self.wants_scores and targets):
            return None
        assert self.params.prompt_logprobs is not None
        return Score(targets, self.params.prompt_logprobs)

    def tokens(self, start: int, stop: int) -> list[int]:
        """Token ids at positions start … stop - 1."""
        prompt = self.request.prompt_ids
        split = len(prompt)
        if start >= split:
            return self.output_ids[start - split : stop - split]
        return prompt[start:stop] + self.output_ids[: max(0, stop - split)]

    def draw(self) -> Draw:
        """The wish for this sequence's next token."""
        return Draw(self.params, self.choice, len(self.output_ids), self.request.prompt_ids, self.output_ids)


@dataclass(slots=True, eq=False)
class Request:
    """A prompt and its choices. All but the first choice wait until the prompt is computed, then share its blocks."""

    id: str
    prompt_ids: list[int]
    params: TokenParams
    sequences: list[Sequence] = field(default_factory=list)
    """Choices that are not finished."""
    held: list[Sequence] = field(default_factory=list)
    """Those of them that wait for the first one to compute the prompt."""
