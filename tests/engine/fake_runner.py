"""A runner without a model: it remembers tokens where keys and values would be, and draws by hashing what it reads.

So a request's output is a pure function of its prompt, and any mistake in blocks, chunks, prefixes or preemption shows
as a wrong token.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from portico.engine.engine import Engine
from portico.engine.plan import Candidates, Row, RowResult, StepPlan
from portico.engine.scheduler import Limits
from portico.protocol.messages import Add, StepDone
from portico.protocol.sampling import TokenParams

VOCABULARY = 50


def next_token(context: Sequence[int], seed: int, choice: int) -> int:
    """What the fake model says after `context`."""
    digest = hashlib.blake2b(repr((list(context), seed, choice)).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") % VOCABULARY


def following(context: Sequence[int], params: TokenParams, choice: int) -> list[int]:
    """The token after `context`; under a grammar up to three more that must follow it."""
    tokens = [next_token(context, params.seed, choice)]
    while params.grammar is not None and len(tokens) < 1 + (tokens[0] + len(context)) % 4:
        tokens.append(next_token([*context, *tokens], 0, 0))
    return tokens


def candidates(context: Sequence[int], count: int) -> Candidates:
    """The likeliest tokens after `context`, by scores as made up as the tokens that are drawn."""
    digest = hashlib.blake2b(repr(list(context)).encode(), digest_size=VOCABULARY).digest()
    best = sorted(range(VOCABULARY), key=lambda token: (-digest[token], token))[:count]
    return Candidates(best, [digest[token] / 64 - 5 for token in best])


def expected_output(
    prompt: Sequence[int], params: TokenParams, choice: int, max_model_len: int
) -> tuple[list[int], str]:
    """The tokens and the ending that a choice must have, whatever else the engine does."""
    output: list[int] = []
    while True:
        for token in following([*prompt, *output], params, choice):
            output.append(token)
            if token in params.stop_token_ids:
                return output, "stop"
            if len(output) >= params.max_tokens or len(prompt) + len(output) >= max_model_len:
                return output, "length"


class MemoryRunner:
    """Keeps token ids in slots; notes each plan; fails rows whose prompt holds `poison`."""

    def __init__(self, num_blocks: int, block_size: int, poison: int | None = None) -> None:
        self.block_size = block_size
        self.slots: list[list[int | None]] = [[None] * block_size for _ in range(num_blocks + 1)]
        self.plans: list[StepPlan] = []
        self.poison = poison

    def run(self, plan: StepPlan) -> list[RowResult]:
        self.plans.append(plan)
        if any(self.poison in row.token_ids for row in plan.rows):
            raise RuntimeError("poisoned")
        for row in plan.rows:
            if row.copied is not None:
                self.slots[row.copied[1]] = list(self.slots[row.copied[0]])
        for row in plan.rows:
            for offset, token in enumerate(row.token_ids):
                block, slot = divmod(row.start + offset, self.block_size)
                assert row.blocks[block] != 0
                self.slots[row.blocks[block]][slot] = token
        return [self._draw(row) for row in plan.rows]

    def _draw(self, row: Row) -> RowResult:
        if row.draw is None:
            return RowResult()
        length = row.start + len(row.token_ids)
        context = [self.slots[row.blocks[p // self.block_size]][p % self.block_size] for p in range(length)]
        assert context == [*row.draw.prompt_ids, *row.draw.output_ids]
        assert row.draw.position == len(row.draw.output_ids)
        if row.draw.candidates:
            return RowResult(candidates=candidates(context, row.draw.candidates))
        return RowResult(following(context, row.draw.params, row.draw.choice))


class Harness:
    """An engine on a MemoryRunner, its invariants checked after every step, its events collected by choice."""

    def __init__(
        self,
        *,
        num_blocks: int = 64,
        block_size: int = 4,
        max_model_len: int = 64,
        max_num_seqs: int = 8,
        max_num_batched_tokens: int = 16,
        max_prefill_beside_decodes: int = 5,
        poison: int | None = None,
        reuse_prefixes: bool = True,
    ) -> None:
        self.runner = MemoryRunner(num_blocks, block_size, poison)
        self.limits = Limits(
            max_model_len, max_num_seqs, max_num_batched_tokens, max_prefill_beside_decodes, reuse_prefixes
        )
        self.engine = Engine(self.runner, self.limits, num_blocks=num_blocks, block_size=block_size)
        self.tokens: dict[tuple[str, int], list[int]] = {}
        self.endings: dict[tuple[str, int], str] = {}
        self.cached: dict[tuple[str, int], int] = {}

    def add(
        self,
        request_id: str,
        prompt: Sequence[int],
        *,
        n: int = 1,
        max_tokens: int = 8,
        owner: int = 0,
        priority: int = 0,
        outranks: bool = False,
        **params: object,
    ) -> Add:
        wishes = TokenParams(max_tokens=max_tokens, **({"seed": 1} | params))  # type: ignore[arg-type]
        add = Add(request_id, list(prompt), wishes, n, owner=owner, priority=priority, outranks=outranks)
        self.engine.add(add)
        return add

    def step(self) -> StepDone:
        before = len(self.runner.plans)
        decodes = sum(s.remaining for s in self.engine.scheduler.running if s.decodes)
        done = self.engine.step()
        self.engine.check()
        if len(self.runner.plans) > before:
            lengths = [len(row.token_ids) for row in self.runner.plans[before].rows]
            assert sum(lengths) <= max(self.limits.max_num_batched_tokens, self.limits.max_num_seqs)
            if decodes:
                assert sum(lengths) - decodes <= self.limits.max_prefill_beside_decodes
        for event in done.events:
            key = (event.request_id, event.choice)
            assert key not in self.endings, "an event after the end"
            self.tokens.setdefault(key, []).extend(event.token_ids)
            self.cached[key] = event.cached_tokens
            if event.finish is not None:
                self.endings[key] = event.finish
        return done

    def run(self, limit: int = 10_000) -> None:
        for _ in range(limit):
            if not self.engine.has_work:
                break
            self.step()
        assert not self.engine.has_work
        assert self.engine.stats().blocks_used == 0

    def assert_exact(self, add: Add) -> None:
        for choice in range(add.n):
            output, ending = expected_output(add.prompt_ids, add.params, choice, self.limits.max_model_len)
            assert self.tokens[add.request_id, choice] == output
            assert self.endings[add.request_id, choice] == ending
