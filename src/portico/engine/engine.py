"""The engine: takes requests, and step by step turns them into tokens."""

from __future__ import annotations

import logging
from collections.abc import Sequence as ListOf
from typing import Literal

from portico.engine.blocks import BlockPool
from portico.engine.plan import Runner, StepPlan, StepResult
from portico.engine.scheduler import Limits, Scheduler
from portico.engine.sequence import Request, Sequence
from portico.errors import PorticoError
from portico.protocol.messages import Add, Cancel, EngineStats, StepDone, TokenEvent, TokenLogprobs

log = logging.getLogger(__name__)

Ending = Literal["stop", "length"]


class Engine:
    """Owns every request from `add` until the event that finishes it, or until `cancel`."""

    def __init__(self, runner: Runner, limits: Limits, *, num_blocks: int, block_size: int) -> None:
        self.scheduler = Scheduler(BlockPool(num_blocks, block_size), limits)
        self._runner = runner
        self._limits = limits
        self._requests: dict[str, Request] = {}
        self._living: dict[int, Sequence] = {}
        self._next_id = 0
        self._refused: list[TokenEvent] = []
        self._steps = 0
        self._prompt_tokens = 0
        self._cached_tokens = 0
        self._generated_tokens = 0

    @property
    def has_work(self) -> bool:
        return bool(self._refused) or self.scheduler.has_work

    def add(self, add: Add) -> None:
        """Queue a request; one that can never run is answered with an error event by the next step."""
        problem = self._problem(add)
        if problem is not None:
            self._refused += [TokenEvent(add.request_id, c, [], "error", error=problem) for c in range(add.n)]
            return
        request = Request(add.request_id, add.prompt_ids, add.params)
        for choice in range(add.n):
            self._next_id += 1
            sequence = Sequence(self._next_id, request, choice)
            request.sequences.append(sequence)
            self._living[sequence.id] = sequence
        request.held = request.sequences[1:]
        self._requests[request.id] = request
        self.scheduler.add(request.sequences[0])

    def cancel(self, cancel: Cancel) -> None:
        """Drop a request or one choice of it, with its blocks; what is unknown or has finished is no error."""
        request = self._requests.get(cancel.request_id)
        if request is None:
            return
        for sequence in list(request.sequences):
            if cancel.choice is None or sequence.choice == cancel.choice:
                self._end(sequence)

    def step(self) -> StepDone:
        """Schedule, run the model once, and account for what came of it."""
        plan = self.scheduler.plan()
        result, failed = self._run(plan)
        return self._apply(plan, result, failed)

    def stats(self) -> EngineStats:
        """Counts as they stand now."""
        pool = self.scheduler.pool
        return EngineStats(
            steps=self._steps,
            running=len(self.scheduler.running),
            waiting=len(self.scheduler.waiting),
            blocks_used=pool.num_used,
            blocks_total=pool.num_blocks,
            preemptions=self.scheduler.preemptions,
            prompt_tokens=self._prompt_tokens,
            cached_tokens=self._cached_tokens,
            generated_tokens=self._generated_tokens,
        )

    def check(self) -> None:
        """Raise AssertionError if any block is lost or owned by a request that is gone."""
        self.scheduler.check()
        if not self._requests and (self.scheduler.pool.num_used or self._living):
            raise AssertionError("no request is left, yet blocks or sequences are")

    def _problem(self, add: Add) -> str | None:
        if add.request_id in self._requests:
            return f"a request with id {add.request_id} is running"
        if not add.prompt_ids:
            return "the prompt has no tokens"
        if len(add.prompt_ids) >= self._limits.max_model_len:
            return f"the prompt has {len(add.prompt_ids)} tokens; the context holds {self._limits.max_model_len}"
        return None

    def _run(self, plan: StepPlan) -> tuple[StepResult, dict[int, str]]:
        """Run a plan; if that fails, run its rows one by one, so that only those that fail alone are lost."""
        if not plan.rows:
            return StepResult((), ()), {}
        try:
            return self._runner.run(plan), {}
        except Exception:
            log.exception("a step of %d rows failed; running its rows one by one", len(plan.rows))
        tokens: list[int] = []
        logprobs: list[TokenLogprobs | None] = []
        scores: list[ListOf[TokenLogprobs]] = []
        failed: dict[int, str] = {}
        for row in plan.rows:
            try:
                result = self._runner.run(StepPlan((row,)))
                tokens += result.token_ids
                logprobs += result.logprobs
                scores += result.scores
            except Exception as error:
                known = isinstance(error, PorticoError)
                failed[row.sequence_id] = str(error) if known else f"the model step failed: {type(error).__name__}"
                log.exception("request %s failed", self._living[row.sequence_id].request.id)
        return StepResult(tokens, logprobs, scores), failed

    def _apply(self, plan: StepPlan, result: StepResult, failed: dict[int, str]) -> StepDone:
        events, self._refused = self._refused, []
        drawn = zip(result.token_ids, result.logprobs, strict=True)
        scores = iter(result.scores)
        for row in plan.rows:
            sequence = self._living[row.sequence_id]
            error = failed.get(sequence.id)
            if error is not None:
                self._end(sequence)
                events.append(TokenEvent(sequence.request.id, sequence.choice, [], "error", error=error))
                continue
            self.scheduler.computed(sequence, len(row.token_ids))
            if row.score is not None:
                sequence.scored[row.start :] = next(scores)  # a preempted prompt is scored again from its start
            if row.draw is not None:
                events.append(self._accept(sequence, *next(drawn)))
            elif not sequence.remaining:
                events.append(self._read(sequence))
        if plan.rows:
            self._steps += 1
        return StepDone(events, self.stats())

    def _read(self, sequence: Sequence) -> TokenEvent:
        """End a sequence of which only the prompt was to be read."""
        self._count_prompt(sequence)
        self._release_held(sequence.request)
        self._end(sequence)
        scored = sequence.scored or None
        return TokenEvent(
            sequence.request.id, sequence.choice, [], "length", sequence.cached_tokens, prompt_logprobs=scored
        )

    def _count_prompt(self, sequence: Sequence) -> None:
        self._prompt_tokens += len(sequence.request.prompt_ids)
        self._cached_tokens += sequence.cached_tokens

    def _accept(self, sequence: Sequence, token: int, logprobs: TokenLogprobs | None) -> TokenEvent:
        """Append a drawn token, and end the sequence if that token or its length says so."""
        scored = None if sequence.output_ids else sequence.scored or None
        if not sequence.output_ids:
            self._count_prompt(sequence)
        sequence.output_ids.append(token)
        self._generated_tokens += 1
        self._release_held(sequence.request)
        finish = self._ending(sequence, token)
        if finish is not None:
            self._end(sequence)
        told = None if logprobs is None else [logprobs]
        return TokenEvent(
            sequence.request.id,
            sequence.choice,
            [token],
            finish,
            sequence.cached_tokens,
            logprobs=told,
            prompt_logprobs=scored,
        )

    def _ending(self, sequence: Sequence, token: int) -> Ending | None:
        if token in sequence.params.stop_token_ids:
            return "stop"
        if len(sequence.output_ids) >= sequence.params.max_tokens or sequence.length >= self._limits.max_model_len:
            return "length"
        return None

    def _end(self, sequence: Sequence) -> None:
        """Forget a sequence and free what it holds; choices that waited for it wait no longer."""
        request = sequence.request
        del self._living[sequence.id]
        request.sequences.remove(sequence)
        if sequence in request.held:
            request.held.remove(sequence)
        else:
            self.scheduler.remove(sequence)
            self._release_held(request)
        if not request.sequences:
            del self._requests[request.id]

    def _release_held(self, request: Request) -> None:
        if request.held:
            self.scheduler.add_first(request.held)
            request.held = []
