"""The queue of what waits to run: fair between owners, and by priority and arrival among the requests of one.

Whose turn it is is decided as by Virtual Token Counters (Sheng et al. 2024, "Fairness in Serving Large Language
Models", arXiv:2401.00588): each owner has a count of the tokens that it was served, the owner with the least is next,
and one that had nothing waiting begins no lower than those that have.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator

from portico.engine.sequence import Request, Sequence

OUTPUT_COST = 2
"""What a drawn token counts, in prompt tokens; as in the paper."""

Queue = tuple[int, int]
"""The rank and the owner of the sequences in one queue."""


class WaitingQueue:
    """Sequences that wait; those that have run before go first."""

    def __init__(self) -> None:
        self._queues: dict[Queue, list[Sequence]] = {}
        self._served: dict[int, int] = {}
        self._latest = 0
        """The owner that was let in last."""

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    def __iter__(self) -> Iterator[Sequence]:
        for queue in self._queues.values():
            yield from queue

    def add(self, sequence: Sequence) -> None:
        """Let a sequence wait behind those of its owner that come before it."""
        owner = sequence.request.owner
        if not any(key[1] == owner for key in self._queues):
            waiting = {key[1] for key in self._queues} or {self._latest}
            self._served[owner] = max(self.served(owner), min(map(self.served, waiting)))
        insort(self._queues.setdefault(_queue_of(sequence), []), sequence, key=_place)

    def remove(self, sequence: Sequence) -> None:
        """Take a sequence out; one that does not wait is no error."""
        key = _queue_of(sequence)
        queue = self._queues.get(key, [])
        index = bisect_left(queue, _place(sequence), key=_place)
        if index < len(queue) and queue[index] is sequence:
            del queue[index]
            if not queue:
                del self._queues[key]

    def first(self) -> Sequence | None:
        """Whose turn it is."""
        heads = [queue[0] for queue in self._queues.values()]
        return min(heads, key=self._turn, default=None)

    def let_in(self, sequence: Sequence) -> None:
        """Take a sequence out because it is to run."""
        self._latest = sequence.request.owner
        self.remove(sequence)

    def of(self, request: Request) -> list[Sequence]:
        """The sequences of a request that wait, in order."""
        queue = self._queues.get((request.rank, request.owner), [])
        return [sequence for sequence in queue if sequence.request is request]

    def served(self, owner: int) -> int:
        """What an owner was served so far, in prompt tokens."""
        return self._served.get(owner, 0)

    def charge(self, sequence: Sequence, length: int) -> None:
        """Note that a sequence is served up to this length; what it was served before counts once."""
        new = length - sequence.charged
        if new <= 0:
            return
        read = max(0, min(length, len(sequence.request.prompt_ids)) - sequence.charged)
        owner = sequence.request.owner
        self._served[owner] = self.served(owner) + read + OUTPUT_COST * (new - read)
        sequence.charged = length

    def _turn(self, head: Sequence) -> tuple[int, bool, int, int]:
        request = head.request
        return request.rank, head.charged == 0, self.served(request.owner), request.arrival


def _queue_of(sequence: Sequence) -> Queue:
    return sequence.request.rank, sequence.request.owner


def _place(sequence: Sequence) -> tuple[bool, int, int, int]:
    request = sequence.request
    return sequence.charged == 0, request.priority, request.arrival, sequence.id
