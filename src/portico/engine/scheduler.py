"""Continuous batching: which sequences run, and what each of them computes in the next step.

One token budget serves all: every decoding sequence gets its one token, and what is left goes to prompts in chunks,
the same to each owner, oldest first among an owner's (Sarathi-Serve, Agrawal et al. 2024, arXiv:2403.02310). Chunks
are smaller while anything decodes, for a chunk is a pause of every stream (`pace.py`). Who waits is let in in the order
of `waiting.py`. When the blocks run out, a running sequence gives its blocks back and is computed again later; what it
has said so far is kept. The beams of a search are admitted and preempted together.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from portico.engine.blocks import ROOT, BlockPool
from portico.engine.pace import Pace
from portico.engine.plan import Row, StepPlan
from portico.engine.portions import portions
from portico.engine.sequence import Sequence
from portico.engine.waiting import WaitingQueue


@dataclass(frozen=True, slots=True)
class Limits:
    """What a step and a batch may hold."""

    max_model_len: int
    max_num_seqs: int
    max_num_batched_tokens: int
    max_prefill_beside_decodes: int
    """Tokens of prompts in a step that also decodes, at most."""
    reuse_prefixes: bool = True
    """Whether what is computed of one prompt serves others that begin alike."""
    prefill_slowdown: float = 0.0
    """How many times as long as without prompts such a step may take; 0: as long as that many tokens take."""


class Scheduler:
    """Owns the queue, the running set and, through the pool, every block; frees what leaves."""

    def __init__(self, pool: BlockPool, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        if pool.num_blocks < pool.blocks_for(limits.max_model_len):
            raise ValueError(f"{pool.num_blocks} blocks cannot hold one sequence of {limits.max_model_len} tokens")
        self.pool = pool
        self.limits = limits
        self.running: list[Sequence] = []
        self.waiting = WaitingQueue()
        self.preemptions = 0
        self._pace = Pace(limits.max_prefill_beside_decodes, limits.prefill_slowdown)
        self._planned = (0, 0)
        self._clock = clock
        self._budget = max(limits.max_num_batched_tokens, limits.max_num_seqs)

    @property
    def has_work(self) -> bool:
        return bool(self.running or self.waiting)

    def add(self, sequence: Sequence) -> None:
        """Let a sequence wait for its turn."""
        self.waiting.add(sequence)

    def remove(self, sequence: Sequence) -> None:
        """Take out a sequence that has ended, wherever it is, and free its blocks; one that is not here is no error."""
        if sequence in self.running:
            self.running.remove(sequence)
            self._free(sequence)
        else:
            self.waiting.remove(sequence)

    def plan(self) -> StepPlan:
        """Decide the next step: grow what runs, preempting where blocks are short, then admit what fits."""
        rows: list[Row] = []
        preemptions = self.preemptions
        left, decoding = self._share()
        for sequence in list(self.running):
            if sequence.id in decoding and (self.preemptions == preemptions or sequence in self.running):
                self._compute(sequence, sequence.remaining, rows)
        streams = len(rows)
        prompts = [s for s in self.running if s.id not in decoding and s.remaining]
        if self.preemptions == preemptions:
            prompts += self._admit(prompts, left)
        tokens = 0
        for sequence, take in portions(prompts, left):
            if self.preemptions == preemptions or sequence in self.running:
                tokens += self._compute(sequence, take, rows)
        self._planned = (streams, tokens)
        return StepPlan(rows)

    def took(self, seconds: float) -> None:
        """Note how long the step lasted that was planned last."""
        self._pace.note(*self._planned, seconds)

    def _compute(self, sequence: Sequence, take: int, rows: list[Row]) -> int:
        """Add a running sequence's row to a step; how many tokens it has, 0 if there is no room."""
        if not self._make_room(sequence, take, rows):
            return 0
        rows.append(self._row(sequence, take))
        return take

    def _share(self) -> tuple[int, set[int]]:
        """What the step has left for prompts, and the sequences that come before them: those that decode.

        Tokens that a grammar has forced are computed with the token before them, as far as the budget holds.
        """
        left = self._budget - sum(sequence.remaining == 1 for sequence in self.running)
        decoding = set()
        for sequence in self.running:
            if sequence.remaining == 1:
                decoding.add(sequence.id)
            elif sequence.decodes and 1 < sequence.remaining <= left:
                decoding.add(sequence.id)
                left -= sequence.remaining
        if decoding:
            left = min(left, self._pace.chunk(len(decoding)))
        return left, decoding

    def computed(self, sequence: Sequence, tokens: int) -> None:
        """Note that the next `tokens` of a running sequence are in its blocks; full blocks become shareable."""
        sequence.computed += tokens
        self.waiting.charge(sequence, sequence.computed)
        size = self.pool.block_size
        while (sequence.registered + 1) * size <= sequence.computed:
            start = sequence.registered * size
            block = sequence.blocks[sequence.registered]
            sequence.node = self.pool.register(block, sequence.node, sequence.tokens(start, start + size))
            sequence.registered += 1

    def check(self) -> None:
        """Raise AssertionError unless every block is accounted for by a running sequence or free."""
        self.pool.check([sequence.blocks for sequence in self.running])
        if any(sequence.blocks for sequence in self.waiting):
            raise AssertionError("a waiting sequence holds blocks")

    def fork(self, parent: Sequence, child: Sequence) -> None:
        """Let a copy of a running sequence run beside it, on the same blocks until one of them writes."""
        self.pool.acquire(parent.blocks)
        child.blocks = list(parent.blocks)
        child.computed, child.registered, child.node = parent.computed, parent.registered, parent.node
        child.charged = parent.charged
        self.running.insert(self.running.index(parent) + 1, child)

    def _row(self, sequence: Sequence, take: int) -> Row:
        start = sequence.computed
        draw = sequence.draw() if take == sequence.remaining and sequence.params.max_tokens else None
        score = sequence.score(start, start + take)
        return Row(
            sequence.id,
            sequence.tokens(start, start + take),
            start,
            sequence.blocks,
            draw,
            score,
            sequence.pool(),
            copied=self._own(sequence),
        )

    def _make_room(self, sequence: Sequence, take: int, rows: list[Row]) -> bool:
        """Give a running sequence blocks for its next tokens; False if it had to give up its own place.

        Rows of sequences that lose their place in favour of this one are taken out.
        """
        needed = self.pool.blocks_for(sequence.computed + take) - len(sequence.blocks)
        while self.pool.num_free < needed + self._writes_to_shared(sequence):
            gone = self._preempt()
            rows[:] = [row for row in rows if row.sequence_id not in {other.id for other in gone}]
            if sequence in gone:
                return False
        sequence.blocks.extend(self.pool.allocate() for _ in range(needed))
        return True

    def _preempt(self) -> list[Sequence]:
        """Let a running sequence, or all beams of its search, wait again."""
        victim = self._victim()
        gone = [s for s in self.running if s is victim or (s.request is victim.request and s.request.search)]
        self.running = [s for s in self.running if s not in gone]
        for sequence in gone:
            self._free(sequence)
            self.waiting.add(sequence)
        self.preemptions += 1
        return gone

    def _victim(self) -> Sequence:
        """Of the owner that holds most, the sequence that matters least to it; the youngest of such."""
        rank = max(sequence.request.rank for sequence in self.running)
        behind = [sequence for sequence in reversed(self.running) if sequence.request.rank == rank]
        held: Counter[int] = Counter()
        for sequence in behind:
            held[sequence.request.owner] += len(sequence.blocks)
        most = max(held.values())
        owner = next(s.request.owner for s in behind if held[s.request.owner] == most)
        return max((s for s in behind if s.request.owner == owner), key=lambda s: s.request.priority)

    def _writes_to_shared(self, sequence: Sequence) -> bool:
        """Whether the next token goes into a block, not yet full, that another beam reads too."""
        place, offset = divmod(sequence.computed, self.pool.block_size)
        return offset > 0 and self.pool.is_shared(sequence.blocks[place])

    def _own(self, sequence: Sequence) -> tuple[int, int] | None:
        """Copy on write: put a block of the sequence's own in the place of one that it shares and writes to."""
        if not self._writes_to_shared(sequence):
            return None
        place = sequence.computed // self.pool.block_size
        shared, own = sequence.blocks[place], self.pool.allocate()
        sequence.blocks[place] = own
        self.pool.release([shared])
        return shared, own

    def _admit(self, prompts: list[Sequence], left: int) -> list[Sequence]:
        """Let in who waits, each (with its beams) only when all of its tokens so far will fit; who came in.

        As many as there is budget for beside the `prompts` that run; beyond that one of each owner that has none.
        """
        pool, admitted = self.pool, list[Sequence]()
        promised = sum(pool.blocks_for(s.length) - len(s.blocks) for s in self.running)
        free = left - sum(s.remaining for s in prompts)
        computing = {s.request.owner for s in prompts}
        while left > 0 and (first := self.waiting.first()) is not None:
            if free <= 0 and first.request.owner in computing:
                break
            together = self.waiting.of(first.request) if first.request.search else [first]
            if self._places_taken() + first.request.width > self.limits.max_num_seqs:
                break
            matches = [self._match(sequence) for sequence in together]
            needed = sum(pool.blocks_for(s.length) - len(m) for s, m in zip(together, matches, strict=True))
            taken = sum(map(pool.count_free, matches))
            spare = len(self.running)  # room for every running sequence to begin one more block
            if pool.num_free - taken < needed + promised + spare:
                break
            for sequence in together:
                self.waiting.let_in(sequence)
                self._start(sequence)
                self.running.append(sequence)
                promised += pool.blocks_for(sequence.length) - len(sequence.blocks)
                free -= sequence.remaining
            computing.add(first.request.owner)
            admitted += together
        return admitted

    def _places_taken(self) -> int:
        """Places of the batch that what runs may come to need: a search as many as it has beams."""
        return sum(s.request.width for s in self.running if not s.request.search or s is s.request.sequences[0])

    def _match(self, sequence: Sequence) -> list[int]:
        if sequence.reads_all or not self.limits.reuse_prefixes:
            return []
        return self.pool.match(sequence.tokens(0, sequence.length - 1))

    def _start(self, sequence: Sequence) -> None:
        matched = self._match(sequence)
        self.pool.acquire(matched)
        sequence.blocks = matched
        sequence.registered = len(matched)
        sequence.node = self.pool.node_of(matched[-1]) if matched else ROOT
        sequence.computed = len(matched) * self.pool.block_size
        if not sequence.output_ids:
            sequence.cached_tokens = sequence.computed
        if not sequence.charged:
            sequence.charged = sequence.computed  # what was found costs nobody anything
        self.waiting.charge(sequence, sequence.length)
        if sequence.request.scheduled is None:
            sequence.request.scheduled = self._clock()

    def _free(self, sequence: Sequence) -> None:
        self.pool.release(sequence.blocks)
        sequence.blocks = []
        sequence.computed = 0
        sequence.registered = 0
        sequence.node = ROOT
        sequence.candidates = None
