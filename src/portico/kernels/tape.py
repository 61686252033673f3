"""Steps of one shape, noted down once and made again by one call of the library: no Python between the kernels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from ctypes import Array, Structure, addressof, c_int, c_void_p
from dataclasses import dataclass, field

import torch
from torch import Tensor

KERNELS = ("attend", "prepare", "linear", "rms_norm", "silu_mul")
"""Those that a tape may hold, by their number in `arguments.h`."""

MOST_ROWS = 64
"""Of a step that is recorded: more rows keep the kernels busy for longer than it takes to call them."""


class _Call(Structure):
    _fields_ = (("kernel", c_int), ("dtype", c_int), ("arguments", c_void_p))


@dataclass(frozen=True, slots=True)
class Tape:
    """The calls of one step, with the arguments they had: the same memory is read and written at each replay."""

    calls: Array[_Call]
    arguments: Sequence[Structure]
    """What the calls point at."""
    replay: Callable[[Array[_Call], int], None]

    def play(self) -> None:
        """Make all calls again, in their order."""
        self.replay(self.calls, len(self.calls))


@dataclass(slots=True)
class Recorder:
    """Takes notes of what the kernels are called with, and gives results memory that outlives the step.

    Results of the same kernel and width have the same memory, in every step that is recorded. In a decoder each is
    used up before there is another one: an `added` by the next norm, a norm by the next product.
    """

    results: dict[tuple[str, int, torch.dtype], Tensor] = field(default_factory=dict)
    notes: list[tuple[str, Structure, int]] | None = None
    """None while nothing is recorded."""

    def note(self, kernel: str, arguments: Structure, dtype: int) -> None:
        """Remember a call, if it is one of a step that is recorded."""
        if self.notes is not None:
            self.notes.append((kernel, arguments, dtype))

    def result(self, kernel: str, like: Tensor, rows: int, width: int) -> Tensor:
        """Memory [rows, width] for what a kernel gives."""
        if self.notes is None:
            return like.new_empty(rows, width)
        key = (kernel, width, like.dtype)
        if key not in self.results:
            self.results[key] = like.new_empty(MOST_ROWS, width)
        return self.results[key][:rows]

    @contextmanager
    def recording(self, replay: Callable[[Array[_Call], int], None]) -> Iterator[Callable[[], Tape]]:
        """Record what is called within; what it gives makes the tape afterwards."""
        notes = self.notes = []

        def tape() -> Tape:
            calls = (_Call * len(notes))(
                *(_Call(KERNELS.index(kernel), dtype, addressof(arguments)) for kernel, arguments, dtype in notes)
            )
            return Tape(calls, [arguments for _, arguments, _ in notes], replay)

        try:
            yield tape
        finally:
            self.notes = None
