"""How a step's room for prompts is shared out."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence as ListOf
from itertools import groupby

from portico.engine.sequence import Sequence


def portions(prompts: ListOf[Sequence], left: int) -> Iterator[tuple[Sequence, int]]:
    """Each sequence that gets a part of `left` tokens, and how many.

    Lower ranks come first; within one, every owner gets the same, as far as it has use for it, so that one's long
    prompt does not hold up another's short one; an owner's share goes to its sequences by priority, then as they come.
    """
    for _, group in groupby(sorted(prompts, key=_rank), key=_rank):
        owners: dict[int, list[Sequence]] = {}
        for sequence in group:
            owners.setdefault(sequence.request.owner, []).append(sequence)
        wanted = sorted((sum(s.remaining for s in own), owner) for owner, own in owners.items())
        for place, (most, owner) in enumerate(wanted):
            share = min(most, -(-left // (len(wanted) - place)))
            left -= share
            for sequence in sorted(owners[owner], key=lambda s: s.request.priority):
                take = min(sequence.remaining, share)
                share -= take
                if take:
                    yield sequence, take


def _rank(sequence: Sequence) -> int:
    return sequence.request.rank
