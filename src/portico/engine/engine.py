"""The engine: takes requests, and step by step turns them into tokens."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable
from collections.abc import Sequence as ListOf
from typing import Literal

from portico.engine.apart import run_apart
from portico.engine.beams import BeamSearch, Step
from portico.engine.blocks import BlockPool
from portico.engine.plan import RowResult, Runner, StepPlan
from portico.engine.scheduler import Limits, Scheduler
from portico.engine.sequence import TOKENS, Request, Sequence
from portico.protocol.messages import Add, Cancel, EngineStats, StepDone, TokenEvent, TokenLogprobs
from portico.protocol.sampling import TokenParams

Ending = Literal["stop", "length"]


class Engine:
    """Owns every request from `add` until the event that finishes it, or until `cancel`."""

    def __init__(
        self,
        runner: Runner,
        limits: Limits,
        *,
        num_blocks: int,
        block_size: int,
        ready: Callable[[TokenParams], bool] = lambda params: True,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`ready`: whether a step with such a request would wait for nothing but the model; asked until it is so."""
        self.scheduler = Scheduler(BlockPool(num_blocks, block_size), limits)
        self._runner = runner
        self._clock = clock
        self._limits = limits
        self._ready = ready
        self._unready: list[Request] = []
        self._requests: dict[str, Request] = {}
        self._living: dict[int, Sequence] = {}
        self._next_id = 0
        self._added = 0
        self._refused: list[TokenEvent] = []
        self._steps = 0
        self._prompt_tokens = 0
        self._cached_tokens = 0
        self._generated_tokens = 0

    @property
    def has_work(self) -> bool:
        return bool(self._refused) or self.scheduler.has_work

    @property
    def awaits(self) -> bool:
        """Whether there are requests that are not ready to run."""
        return bool(self._unready)

    def add(self, add: Add) -> None:
        """Queue a request; one that can never run is answered with an error event by the next step."""
        problem = self._problem(add)
        if problem is not None:
            self._refused += [TokenEvent(add.request_id, c, [], "error", error=problem) for c in range(add.n)]
            return
        request = self._new_request(add)
        for choice in range(1 if request.search else add.n):
            said = add.said[choice] if add.said else []
            if said is not None:
                self._new_sequence(request, choice).output_ids.extend(said)
        request.held = list(request.sequences)
        self._requests[request.id] = request
        self._unready.append(request)
        self.admit()

    def admit(self) -> None:
        """Queue the requests that have become ready."""
        unready, self._unready = self._unready, []
        for request in unready:
            if not request.sequences:  # cancelled meanwhile
                continue
            if not self._ready(request.params):
                self._unready.append(request)
                continue
            request.held = request.sequences[1:]
            self.scheduler.add(request.sequences[0])

    def cancel(self, cancel: Cancel) -> None:
        """Drop a request or one choice of it, with its blocks; what is unknown or has finished is no error."""
        request = self._requests.get(cancel.request_id)
        if request is None or (request.search and cancel.choice is not None):  # a search gives all choices at once
            return
        for sequence in list(request.sequences):
            if cancel.choice is None or sequence.choice == cancel.choice:
                self._end(sequence)

    def step(self) -> StepDone:
        """Schedule, run the model once, and account for what came of it."""
        self.admit()
        plan = self.scheduler.plan()
        begun = self._clock()
        results = run_apart(self._runner, plan, lambda row: self._living[row.sequence_id].request.id)
        self.scheduler.took(self._clock() - begun)
        return self._apply(plan, results)

    def _new_request(self, add: Add) -> Request:
        self._added += 1
        return Request(
            add.request_id,
            array(TOKENS, add.prompt_ids),
            add.params,
            add.n,
            self._search(add),
            owner=add.owner,
            priority=add.priority,
            rank=add.priority if add.outranks else 0,
            arrival=self._added,
        )

    def _new_sequence(self, request: Request, choice: int) -> Sequence:
        self._next_id += 1
        sequence = Sequence(self._next_id, request, choice)
        request.sequences.append(sequence)
        self._living[sequence.id] = sequence
        return sequence

    def stats(self, step_tokens: int = 0) -> EngineStats:
        """Counts as they stand now, behind a step of so many tokens."""
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
            step_tokens=step_tokens,
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

    def _search(self, add: Add) -> BeamSearch | None:
        beams, most = add.params.beams, self._limits.max_model_len - len(add.prompt_ids)
        if beams is None or not add.params.max_tokens:
            return None
        return BeamSearch(beams, add.params, min(add.params.max_tokens, most))

    def _apply(self, plan: StepPlan, results: ListOf[RowResult]) -> StepDone:
        events, self._refused = self._refused, []
        searching: dict[str, Request] = {}
        for row, result in zip(plan.rows, results, strict=True):
            sequence = self._living.get(row.sequence_id)
            if sequence is None:  # a beam of a search that an earlier row ended
                continue
            if result.error is not None:
                events += self._fail(sequence, result.error)
                continue
            self.scheduler.computed(sequence, len(row.token_ids))
            if row.score is not None:
                sequence.request.scored[row.start :] = result.scores  # a preempted prompt is scored from its start
            sequence.request.pooled = result.pooled
            if result.token_ids:
                events.append(self._accept(sequence, result.token_ids, result.logprobs))
            elif result.candidates is not None:
                sequence.candidates = result.candidates
                searching[sequence.request.id] = sequence.request
            elif not sequence.remaining:
                events.append(self._read(sequence))
        for request in searching.values():
            if request.sequences:
                events += self._advance(request)
        if plan.rows:
            self._steps += 1
        return StepDone(events, self.stats(sum(len(row.token_ids) for row in plan.rows)))

    def _read(self, sequence: Sequence) -> TokenEvent:
        """End a sequence of which only the prompt was to be read."""
        self._release_held(sequence.request)
        self._end(sequence)
        return self._event(sequence, sequence.choice, [], "length", first=True)

    def _accept(self, sequence: Sequence, token_ids: ListOf[int], logprobs: TokenLogprobs | None) -> TokenEvent:
        """Append a drawn token and what must follow it, and end the sequence if a token or its length says so."""
        first, before = not sequence.output_ids, len(sequence.output_ids)
        sequence.drawn_from = sequence.computed
        finish = None
        for token in token_ids:
            sequence.output_ids.append(token)
            finish = self._ending(sequence, token)
            if finish is not None:
                break
        new = list(sequence.output_ids[before:])
        self._generated_tokens += len(new)
        self._release_held(sequence.request)
        if finish is not None:
            self._end(sequence)
        told = None if logprobs is None else [logprobs]
        return self._event(sequence, sequence.choice, new, finish, told, first=first)

    def _event(
        self,
        sequence: Sequence,
        choice: int,
        token_ids: list[int],
        finish: Ending | None,
        logprobs: list[TokenLogprobs] | None = None,
        *,
        first: bool,
    ) -> TokenEvent:
        """What to tell of a choice; with its first event also what there is to tell of the prompt."""
        request = sequence.request
        if first:
            self._prompt_tokens += len(request.prompt_ids)
            self._cached_tokens += sequence.cached_tokens
        scored = request.scored if first and choice == 0 and request.scored else None
        embedding = None if request.params.pooling is None else list(request.pooled)
        return TokenEvent(
            request.id,
            choice,
            token_ids,
            finish,
            sequence.cached_tokens,
            logprobs=logprobs,
            prompt_logprobs=scored,
            embedding=embedding,
            scheduled=request.scheduled if first else None,
        )

    def _fail(self, sequence: Sequence, error: str) -> list[TokenEvent]:
        """End a sequence, or the whole search that it belongs to, with an error."""
        request = sequence.request
        choices = range(request.n) if request.search else (sequence.choice,)
        for lost in list(request.sequences) if request.search else [sequence]:
            self._end(lost)
        return [TokenEvent(request.id, choice, [], "error", error=error) for choice in choices]

    def _advance(self, request: Request) -> list[TokenEvent]:
        """Go on with the best continuations once those of all beams are known; events come at the search's end."""
        search, beams = request.search, list(request.sequences)
        found = [beam.candidates for beam in beams if beam.candidates is not None]
        if search is None or len(found) < len(beams):
            return []
        steps = search.advance([beam.output_ids for beam in beams], found, [beam.logprobs for beam in beams])
        if search.done:
            for beam in beams:
                self._end(beam)
            return [self._answer(beams[0], choice) for choice in range(request.n)]
        self._continue(request, beams, steps)
        return []

    def _continue(self, request: Request, beams: ListOf[Sequence], steps: ListOf[Step]) -> None:
        """Replace beams by their continuations: the first of a beam goes on in its place, the others fork from it."""
        successors: list[Sequence] = []
        for step in steps:
            beam = beams[step.beam]
            successors.append(self._fork(beam) if beam in successors else beam)
        for beam in beams:
            if beam not in successors:
                self._end(beam)
        for successor, step in zip(successors, steps, strict=True):
            successor.output_ids.append(step.token)
            successor.logprobs.append(step.logprobs)
            successor.candidates = None
        request.sequences = successors

    def _fork(self, beam: Sequence) -> Sequence:
        child = self._new_sequence(beam.request, beam.choice)
        child.output_ids, child.logprobs = beam.output_ids[:], list(beam.logprobs)
        child.cached_tokens = beam.cached_tokens
        self.scheduler.fork(beam, child)
        return child

    def _answer(self, beam: Sequence, choice: int) -> TokenEvent:
        """One of the answers of a finished search, the best first; there can be fewer than were asked for."""
        request = beam.request
        assert request.search is not None
        if choice >= len(request.search.finished):
            return self._event(beam, choice, [], "stop", first=choice == 0)
        answer = request.search.finished[choice]
        self._generated_tokens += len(answer.output_ids)
        finish: Ending = "stop" if answer.output_ids[-1] in request.params.stop_token_ids else "length"
        told = None if request.params.logprobs is None else answer.logprobs
        return self._event(beam, choice, answer.output_ids, finish, told, first=choice == 0)

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
        for sequence in request.held:
            self.scheduler.add(sequence)
        request.held = []
