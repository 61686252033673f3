"""One choice of an answer: tokens in, text out, until it is finished."""

from __future__ import annotations

from collections.abc import Sequence

from portico.protocol.events import FinishReason
from portico.text.detokenizer import Detokenizer
from portico.text.stops import StopFinder


class ChoiceText:
    """Detokeniser and stop strings of one choice; shared by the server's pipeline and the offline interface."""

    def __init__(
        self, detokenizer: Detokenizer, stops: Sequence[str] = (), *, min_tokens: int = 0, include_stop: bool = False
    ) -> None:
        """`include_stop`: the string or token that stops the answer is part of it. Before `min_tokens` none does."""
        self._detokenizer = detokenizer
        self._stops = StopFinder(stops, include=include_stop)
        self._min_tokens = min_tokens
        self._include_stop = include_stop
        self.token_count = 0
        """Tokens that belong to the answer: up to the one that completed a stop string."""
        self.said = 0
        """Those of them that are part of its text: a stop token need not be."""
        self.finished: FinishReason | None = None

    @property
    def stop_string(self) -> str | None:
        """The stop string that ended this choice, of which the engine does not know."""
        return self._stops.found

    def feed(self, token_ids: Sequence[int], finish: FinishReason | None = None) -> tuple[str, FinishReason | None]:
        """New text, and why the choice ended if it did; tokens that come after its end are ignored."""
        if self.finished is not None:
            return "", self.finished
        pieces: list[str] = []
        stop_token = (
            len(token_ids) - 1 if finish == "stop" else -1
        )  # the engine stops at tokens only, and at their last
        for index, token_id in enumerate(token_ids):
            self.token_count += 1
            if index == stop_token and not self._include_stop:
                break
            self.said += 1
            text = self._detokenizer.push(token_id)
            pieces.append(self._stops.push(text, search=self.token_count > self._min_tokens))
            if self._stops.hit:
                self.finished = "stop"
                return "".join(pieces), "stop"
        if finish is not None:
            self.finished = finish
            pieces.append(self._stops.flush())
        return "".join(pieces), finish
