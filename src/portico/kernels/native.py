"""The C++ kernels of `cpp/`, called through ctypes; built with the package where there is a compiler for them."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from ctypes import CDLL, Structure, addressof, byref, c_char_p
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

import portico.kernels
from portico.kernels import layouts
from portico.kernels.context import Context, Paged
from portico.kernels.linear import Linear, NotFiniteError, Rows, Shape, WeightFormat, stacked
from portico.kernels.memory import large_zeros
from portico.kernels.prepare import HeadNorm
from portico.kernels.sampling import Changes, Description, Drawn, Filters
from portico.kernels.tape import Recorder, Tape

log = logging.getLogger(__name__)

_LIBRARY = "libportico_kernels.so"
_PANEL = 32
"""Output channels that lie together in a packed weight."""
WeightFormatName = Literal["none", "int8", "int4"]
_WEIGHT_FORMATS: dict[WeightFormatName, tuple[int, Callable[[int, int], int]]] = {
    "none": (0, lambda inputs, dtype: _PANEL * 4 * -(-inputs // (2 if dtype else 1))),
    "int8": (1, lambda inputs, _: -(-inputs // 128) * _PANEL * (128 + 4)),
    "int4": (2, lambda inputs, _: -(-inputs // 128) * _PANEL * (64 + 4 * 2)),
}
"""The library's number for each, and the bytes of a panel of so many inputs in a dtype."""
_PROCEDURES = (
    "attend", "prepare", "linear", "rms_norm", "silu_mul", "draw", "top", "describe",
    "change", "set_threads", "replay",
)  # fmt: skip
INSTRUCTION_SETS = ("amx", "avx512-bf16", "avx2", "baseline")
"""From the best to the one that runs everywhere."""
EMULATED = "amx-emulated"
"""The products of "amx" with its tiles held in memory: the same loops, for tests on machines without them."""
_DTYPES = {torch.float32: 0, torch.bfloat16: 1}


@dataclass(frozen=True, slots=True)
class NativeKernels:
    """The functions of the library for one dtype; what each takes and gives is said at its plain-torch twin."""

    library: CDLL
    dtype: int
    instruction_set: str
    build: str
    """A hash of the library: what it packed, another build may lay out in another way."""
    recorder: Recorder = field(default_factory=Recorder)

    def record(self) -> AbstractContextManager[Callable[[], Tape]]:
        """Note down the calls of a step, which the tape that comes of it makes again."""
        return self.recorder.recording(self.library.portico_replay)

    def _call(self, kernel: str, arguments: Structure) -> None:
        self.recorder.note(kernel, arguments, self.dtype)
        getattr(self.library, f"portico_{kernel}")(byref(arguments), self.dtype)

    def use_threads(self, count: int) -> None:
        """Share the work of every call of this process among so many threads, and leave torch one.

        What torch still does is small, and its threads would spin in the way of these.
        """
        self.library.portico_set_threads(count)
        torch.set_num_threads(1)

    def attend(self, query: Tensor, pool: Tensor, context: Context, window: int | None, scale: float) -> Tensor:
        """As `GatheredAttention`, on blocks where they are; `query` may be a slice of wider rows."""
        assert isinstance(context, Paged)
        tokens, heads, width = query.shape
        out = self.recorder.result("attend", query, tokens, heads * width)
        arguments = layouts.Attend(
            query.data_ptr(),
            out.data_ptr(),
            pool.data_ptr(),
            context.tables.data_ptr(),
            context.starts.data_ptr(),
            context.tokens.data_ptr(),
            query.stride(0),
            *context.tables.shape,
            heads,
            pool.shape[2],
            width,
            pool.shape[3],
            window or 0,
            scale,
            _key_format(pool),
        )
        self._call("attend", arguments)
        return out

    def prepare(
        self, qkv: Tensor, pool: Tensor, norm: HeadNorm | None, angles: tuple[Tensor, Tensor], context: Context
    ) -> None:
        """As `PrepareTorch`, in one pass; every result is rounded once."""
        assert isinstance(context, Paged)
        tokens, all_heads, width = qkv.shape
        kv_heads, block_size = pool.shape[2:4]
        arguments = layouts.Prepare(
            qkv.data_ptr(),
            pool.data_ptr(),
            0 if norm is None else norm.weight.data_ptr(),
            angles[0].data_ptr(),
            angles[1].data_ptr(),
            context.slots.data_ptr(),
            tokens,
            all_heads - 2 * kv_heads,
            kv_heads,
            width,
            block_size,
            0.0 if norm is None else norm.eps,
            _key_format(pool),
        )
        self._call("prepare", arguments)

    def linear(self, weight: Tensor, bias: Tensor | None) -> Linear:
        """As `linear_torch`, over a packed copy of the weight; no row's result depends on the other rows."""
        return self.weight_format("none")(weight, bias)

    def linear_int8(self, weight: Tensor, bias: Tensor | None) -> Linear:
        """As `quantized.linear_int8_torch`, in the same way."""
        return self.weight_format("int8")(weight, bias)

    def linear_int4(self, weight: Tensor, bias: Tensor | None) -> Linear:
        """As `quantized.linear_int4_torch`, in the same way."""
        return self.weight_format("int4")(weight, bias)

    def weight_format(self, name: WeightFormatName) -> WeightFormat:
        """One of the formats in which weights are packed in panels; each row of an int8 one can be read as well."""
        code, panel_bytes = _WEIGHT_FORMATS[name]

        def packed_bytes(shape: Shape) -> int:
            return -(-shape[0] // _PANEL) * panel_bytes(shape[1], self.dtype)

        def pack(*parts: Tensor) -> Tensor:
            inputs = parts[0].shape[1]
            if any(len(part) % _PANEL for part in parts[:-1]):
                parts = (stacked(parts),)
            packed = large_zeros((packed_bytes((sum(map(len, parts)), inputs)),), torch.uint8)
            place = packed.data_ptr()
            for part in parts:
                rows = part.contiguous()
                arguments = layouts.Linear(
                    weight=rows.data_ptr(), packed=place, inputs=inputs, outputs=len(rows), format=code
                )
                if not self.library.portico_pack_linear(byref(arguments), self.dtype):
                    raise NotFiniteError
                place += packed_bytes((len(rows), inputs))
            return packed

        def product(packed: Tensor, shape: Shape, bias: Tensor | None) -> Linear:
            return partial(self._linear, packed, bias, shape[0], code)

        return WeightFormat(product, pack, packed_bytes, self._int8_rows if name == "int8" else None)

    def _int8_rows(self, packed: Tensor, shape: Shape) -> Rows:
        """As `quantized.rows_int8_torch`, of the panels that a product reads."""
        groups = packed.view(-1, -(-shape[1] // 128), _PANEL * (128 + 4))
        words = groups[..., : _PANEL * 128].view(torch.int32).view(*groups.shape[:2], 32, _PANEL)
        scales = groups[..., _PANEL * 128 :].view(torch.float32)
        dtype = next(dtype for dtype, code in _DTYPES.items() if code == self.dtype)
        return partial(_rows, words, scales, shape[1], dtype)

    def _linear(self, packed: Tensor, bias: Tensor | None, outputs: int, weight_format: int, x: Tensor) -> Tensor:
        if x.stride(1) != 1:
            x = x.contiguous()
        out = self.recorder.result("linear", x, len(x), outputs)
        arguments = layouts.Linear(
            0,
            packed.data_ptr(),
            x.data_ptr(),
            0 if bias is None else bias.data_ptr(),
            out.data_ptr(),
            *x.shape,
            outputs,
            x.stride(0),
            weight_format,
        )
        self._call("linear", arguments)
        return out

    def rms_norm(self, x: Tensor, weight: Tensor, eps: float, added: Tensor | None = None) -> Tensor:
        """As the plain one, for contiguous x [rows, width] and what is added."""
        out = self.recorder.result("rms_norm", x, *x.shape)
        other = 0 if added is None else added.data_ptr()
        arguments = layouts.RmsNorm(x.data_ptr(), other, weight.data_ptr(), out.data_ptr(), x.shape[0], x.shape[1], eps)
        self._call("rms_norm", arguments)
        return out

    def silu_mul(self, gate_up: Tensor) -> Tensor:
        """As the plain one."""
        rows, width = gate_up.shape[0], gate_up.shape[1] // 2
        out = self.recorder.result("silu_mul", gate_up, rows, width)
        arguments = layouts.SiluMul(gate_up.data_ptr(), out.data_ptr(), rows, width)
        self._call("silu_mul", arguments)
        return out

    def draw(
        self, logits: Tensor, scales: Tensor, uniforms: Tensor, filters: Filters, changes: Changes | None = None
    ) -> Drawn:
        """As `draw_torch`, for contiguous logits in either dtype."""
        rows, vocab = logits.shape
        drawn = Drawn(torch.empty(rows, dtype=torch.int64), torch.empty(rows), torch.empty(rows))
        changed = None if changes is None else _changes(changes)
        arguments = layouts.Draw(
            logits.data_ptr(),
            None if changed is None else addressof(changed),
            scales.data_ptr(),
            uniforms.data_ptr(),
            filters.top_k.data_ptr(),
            filters.top_p.data_ptr(),
            filters.min_p.data_ptr(),
            drawn.floors.data_ptr(),
            drawn.logits.data_ptr(),
            drawn.tokens.data_ptr(),
            rows,
            vocab,
        )
        self.library.portico_draw(byref(arguments), _code(logits))
        return drawn

    def describe(self, logits: Tensor, tokens: Tensor, count: int) -> Description:
        """As `describe_torch`, for contiguous logits in either dtype."""
        rows, vocab = logits.shape
        found = Description(
            torch.empty(rows),
            torch.empty(rows, dtype=torch.int64),
            torch.empty(rows, count),
            torch.empty(rows, count, dtype=torch.int64),
        )
        results = (getattr(found, name).data_ptr() for name in Description.__slots__)
        arguments = layouts.Describe(logits.data_ptr(), tokens.data_ptr(), *results, rows, vocab, count)
        self.library.portico_describe(byref(arguments), _code(logits))
        return found

    def change(self, logits: Tensor, changes: Changes) -> Tensor:
        """As `change_torch`, for contiguous logits in either dtype."""
        out, changed = torch.empty(logits.shape), _changes(changes)
        arguments = layouts.Change(logits.data_ptr(), addressof(changed), out.data_ptr(), *logits.shape)
        self.library.portico_change(byref(arguments), _code(logits))
        return out

    def top(self, logits: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """As `top_torch`, for contiguous logits in either dtype."""
        rows, vocab = logits.shape
        values, ids = torch.empty(rows, count), torch.empty(rows, count, dtype=torch.int64)
        if count:
            arguments = layouts.Top(logits.data_ptr(), values.data_ptr(), ids.data_ptr(), rows, vocab, count)
            self.library.portico_top(byref(arguments), _code(logits))
        return values, ids


def _rows(words: Tensor, scales: Tensor, width: int, dtype: torch.dtype, ids: Tensor) -> Tensor:
    """Rows of words of four values [panels, groups, 32, channels] and scales [panels, groups, channels]."""
    panel, channel = ids // _PANEL, ids % _PANEL
    values = words[panel, :, :, channel].view(torch.uint8)
    rows = values.float().sub_(128).mul_(scales[panel, :, channel].unsqueeze(-1))
    return rows.flatten(1)[:, :width].to(dtype).contiguous()


def _changes(changes: Changes) -> Structure:
    return layouts.Changes(*(getattr(changes, name).data_ptr() for name in Changes.__slots__))


def _key_format(pool: Tensor) -> int:
    return int(pool.dtype is torch.int8)


def _code(logits: Tensor) -> int:
    return _DTYPES[logits.dtype]


def load_native(dtype: torch.dtype, instruction_set: str | None = None) -> NativeKernels | None:
    """The library for a dtype, or None where it was not built, cannot be loaded, or lacks the dtype.

    With an `instruction_set`, one of INSTRUCTION_SETS or EMULATED, None too where the machine lacks that; it is then in
    use by all of the process.
    """
    path = native_library()
    if path is None or dtype not in _DTYPES:
        return None
    try:
        library = CDLL(str(path))
    except OSError as error:
        log.warning("The native kernels cannot be loaded (%s); plain torch is used instead.", error)
        return None
    library.portico_instruction_set.restype = c_char_p
    for name in _PROCEDURES:
        getattr(library, f"portico_{name}").restype = None
    if instruction_set is not None and not library.portico_choose(instruction_set.encode()):
        return None
    build = hashlib.sha256(path.read_bytes()).hexdigest()
    return NativeKernels(library, _DTYPES[dtype], library.portico_instruction_set().decode(), build)


def native_library() -> Path | None:
    """The compiled library; None where it was not built."""
    return next((folder / _LIBRARY for folder in _folders() if (folder / _LIBRARY).exists()), None)


def _folders() -> Iterator[Path]:
    """Where the package's files are: an editable install has its modules and what was compiled in two places."""
    return map(Path, portico.kernels.__path__)
