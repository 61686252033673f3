"""Continuous batching: which sequences run, and what each of them computes in the next step.

One token budget serves all: every decoding sequence gets its one token, and what is left goes to prompts in chunks,
oldest first (Sarathi-Serve, Agrawal et al. 2024, arXiv:2403.02310). Chunks are smaller while anything decodes, for a
chunk is a pause of every stream. When the blocks run out, the youngest running sequence gives its blocks back and is
computed again later; what it has said so far is kept. The beams of a search are admitted and preempted together.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from portico.engine.blocks import ROOT, BlockPool
from portico.engine.plan import Row, StepPlan
from portico.engine.sequence import Sequence


@dataclass(frozen=True, slots=True)
class Limits:
    """What a step and a batch may hold."""

    max_model_len: int
    max_num_seqs: int
    max_num_batched_tokens: int
    max_prefill_beside_decodes: int
    """Tokens of prompts in a step that also decodes."""
    reuse_prefixes: bool = True
    """Whether what is computed of one prompt serves others that begin alike."""


class Scheduler:
    """Owns the queue, the running set and, through the pool, every block; frees what leaves."""

    def __init__(self, pool: BlockPool, limits: Limits) -> None:
        if pool.num_blocks < pool.blocks_for(limits.max_model_len):
            raise ValueError(f"{pool.num_blocks} blocks cannot hold one sequence of {limits.max_model_len} tokens")
        self.pool = pool
        self.limits = limits
        self.running: list[Sequence] = []
        self.waiting: deque[Sequence] = deque()
        self.preemptions = 0
        self._budget = max(limits.max_num_batched_tokens, limits.max_num_seqs)

    @property
    def has_work(self) -> bool:
        return bool(self.running or self.waiting)

    def add(self, sequence: Sequence) -> None:
        """Queue a sequence behind all others."""
        self.waiting.append(sequence)

    def add_first(self, sequences: Iterable[Sequence]) -> None:
        """Queue sequences before all others, in their order."""
        self.waiting.extendleft(reversed(list(sequences)))

    def remove(self, sequence: Sequence) -> None:
        """Take out a sequence that has ended, wherever it is, and free its blocks; one that is not here is no error."""
        if sequence in self.running:
            self.running.remove(sequence)
            self._free(sequence)
        elif sequence in self.waiting:
            self.waiting.remove(sequence)

    def plan(self) -> StepPlan:
        """Decide the next step: grow what runs, preempting where blocks are short, then admit what fits."""
        rows: list[Row] = []
        preemptions = self.preemptions
        left, decoding = self._share()
        index = 0
        while index < len(self.running):
            sequence = self.running[index]
            decodes = sequence.id in decoding
            take = sequence.remaining if decodes else min(sequence.remaining, left)
            if take > 0 and self._make_room(sequence, take, rows):
                rows.append(self._row(sequence, take))
                left -= 0 if decodes else take
            index += 1
        if self.preemptions == preemptions:
            self._admit(rows, left)
        return StepPlan(rows)

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
            left = min(left, self.limits.max_prefill_beside_decodes)
        return left, decoding

    def computed(self, sequence: Sequence, tokens: int) -> None:
        """Note that the next `tokens` of a running sequence are in its blocks; full blocks become shareable."""
        sequence.computed += tokens
        size = self.pool.block_size
        while (sequence.registered + 1) * size <= sequence.computed:
            start = sequence.registered * size
            block = sequence.blocks[sequence.registered]
            held = sequence.tokens(start, start + size)
            sequence.node = self.pool.register(block, sequence.node, held, sequence.params.cache_salt)
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
        """Take the youngest running sequence, or all beams of its search, back to the head of the queue."""
        youngest = self.running[-1]
        gone = [s for s in self.running if s is youngest or (s.request is youngest.request and s.request.search)]
        self.running = [s for s in self.running if s not in gone]
        for sequence in gone:
            self._free(sequence)
        self.waiting.extendleft(reversed(gone))
        self.preemptions += 1
        return gone

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

    def _admit(self, rows: list[Row], left: int) -> None:
        """Start waiting sequences in order, each (with its beams) only when all of its tokens so far will fit."""
        pool = self.pool
        promised = sum(pool.blocks_for(s.length) - len(s.blocks) for s in self.running)
        while self.waiting and left > 0:
            together = self._together(self.waiting[0])
            if self._places_taken() + together[0].request.width > self.limits.max_num_seqs:
                return
            matches = [self._match(sequence) for sequence in together]
            needed = sum(pool.blocks_for(s.length) - len(m) for s, m in zip(together, matches, strict=True))
            taken = sum(map(pool.count_free, matches))
            spare = len(self.running)  # room for every running sequence to begin one more block
            if pool.num_free - taken < needed + promised + spare:
                return
            for sequence in together:
                self.waiting.popleft()
                self._start(sequence)
                self.running.append(sequence)
                take = min(sequence.remaining, left)
                if take:
                    self._make_room(sequence, take, rows)
                    rows.append(self._row(sequence, take))
                promised += pool.blocks_for(sequence.length) - len(sequence.blocks)
                left -= take

    def _together(self, sequence: Sequence) -> list[Sequence]:
        """A waiting sequence with those that wait behind it and must run in the same steps."""
        return [s for s in self.waiting if s.request is sequence.request] if sequence.request.search else [sequence]

    def _places_taken(self) -> int:
        """Places of the batch that what runs may come to need: a search as many as it has beams."""
        return sum(s.request.width for s in self.running if not s.request.search or s is s.request.sequences[0])

    def _match(self, sequence: Sequence) -> list[int]:
        if sequence.reads_all or not self.limits.reuse_prefixes:
            return []
        return self.pool.match(sequence.tokens(0, sequence.length - 1), sequence.params.cache_salt)

    def _start(self, sequence: Sequence) -> None:
        matched = self._match(sequence)
        self.pool.acquire(matched)
        sequence.blocks = matched
        sequence.registered = len(matched)
        sequence.node = self.pool.node_of(matched[-1]) if matched else ROOT
        sequence.computed = len(matched) * self.pool.block_size
        if not sequence.output_ids:
            sequence.cached_tokens = sequence.computed

    def _free(self, sequence: Sequence) -> None:
        self.pool.release(sequence.blocks)
        sequence.blocks = []
        sequence.computed = 0
        sequence.registered = 0
        sequence.node = ROOT
        sequence.candidates = None
