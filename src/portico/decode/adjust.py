"""What changes a row's logits before its token is drawn, penalties aside: what may not come, and biases."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from portico.decode.penalties import has_penalties
from portico.errors import EngineError
from portico.protocol.sampling import ThinkingLimit, TokenParams


def needs_adjusting(params: TokenParams, position: int) -> bool:
    """Whether `adjust` or penalties would do anything to the row that draws output token `position`."""
    return bool(
        params.logit_bias
        or params.allowed_token_ids
        or params.bad_words
        or position < params.min_tokens
        or params.grammar is not None
        or (params.thinking is not None and _thinking_end(params.thinking, position) is not None)
        or has_penalties(params)
    )


def adjust(logits: Tensor, params: TokenParams, output_ids: Sequence[int]) -> None:
    """Change the float32 logits [vocab] of one row, those that its grammar forbids being -inf already, in place.

    First what is allowed and what must come, then what is banned, then biases; after that come penalties, as in vLLM.
    """
    if params.allowed_token_ids:
        allowed = torch.tensor(params.allowed_token_ids, device=logits.device)
        kept = logits[allowed]
        logits.fill_(-torch.inf)
        logits[allowed] = kept
    if params.thinking is not None and (token := forced_end(params.thinking, output_ids)) is not None:
        kept = logits[token].clone()
        logits.fill_(-torch.inf)
        logits[token] = kept
    banned = list(_banned(params, output_ids))
    if banned:
        logits[torch.tensor(banned, device=logits.device)] = -torch.inf
    if params.logit_bias:
        ids, biases = zip(*params.logit_bias, strict=True)
        logits[torch.tensor(ids, device=logits.device)] += torch.tensor(biases, device=logits.device)


def forced_end(limit: ThinkingLimit, output_ids: Sequence[int]) -> int | None:
    """The token that must follow these because the thinking has used up its budget, if one must."""
    place = _thinking_end(limit, len(output_ids))
    if place is None:
        return None
    thought = output_ids[: len(output_ids) - place]
    begun = not limit.begin or _holds(thought, limit.begin)
    return limit.end[place] if begun and not _holds(thought, limit.end) else None


def _thinking_end(limit: ThinkingLimit, position: int) -> int | None:
    """Which token of the end's marker would stand at `position`, were thinking to go on for its whole budget."""
    place = position - len(limit.begin) - limit.budget
    return place if 0 <= place < len(limit.end) else None


def _holds(tokens: Sequence[int], part: tuple[int, ...]) -> bool:
    if len(part) == 1:
        return part[0] in tokens
    return any(tuple(tokens[place : place + len(part)]) == part for place in range(len(tokens) - len(part) + 1))


def check_left(chosen: float, draw_position: int) -> None:
    """Raise EngineError if the logit of the token that was chosen says that none was left to choose."""
    if chosen == -math.inf:
        raise EngineError(
            f"No token is left for output position {draw_position}: allowed_token_ids, bad_words, min_tokens and "
            "what the answer must look like exclude all."
        )


def _banned(params: TokenParams, output_ids: Sequence[int]) -> Iterator[int]:
    if len(output_ids) < params.min_tokens:
        yield from params.stop_token_ids
    for *before, last in params.bad_words:
        if not before or list(output_ids[-len(before) :]) == before:
            yield last
