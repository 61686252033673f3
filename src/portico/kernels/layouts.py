"""The structures by which the C++ kernels take their arguments, as `cpp/arguments.h` has them."""

from __future__ import annotations

from ctypes import Structure, c_float, c_int, c_int64, c_void_p
from typing import Any

from portico.kernels import sampling


def _layout(name: str, **fields: Any) -> type[Structure]:
    """A structure of `arguments.h`, with the same fields in the same order."""
    return type(name, (Structure,), {"_fields_": list(fields.items())})


Attend = _layout(
    "AttendArguments",
    query=c_void_p, out=c_void_p, pool=c_void_p, tables=c_void_p, starts=c_void_p, tokens=c_void_p,
    query_stride=c_int64,
    sequences=c_int, table_width=c_int, heads=c_int, kv_heads=c_int, head_dim=c_int, block_size=c_int,
    window=c_int, scale=c_float, keys=c_int,
)  # fmt: skip
Prepare = _layout(
    "PrepareArguments",
    qkv=c_void_p, pool=c_void_p, weight=c_void_p, cos=c_void_p, sin=c_void_p, slots=c_void_p,
    tokens=c_int, heads=c_int, kv_heads=c_int, head_dim=c_int, block_size=c_int, eps=c_float, keys=c_int,
)  # fmt: skip
Linear = _layout(
    "LinearArguments",
    weight=c_void_p, packed=c_void_p, x=c_void_p, bias=c_void_p, out=c_void_p,
    rows=c_int64, inputs=c_int64, outputs=c_int64, x_stride=c_int64, format=c_int,
)  # fmt: skip
RmsNorm = _layout(
    "RmsNormArguments",
    x=c_void_p, added=c_void_p, weight=c_void_p, out=c_void_p, rows=c_int64, width=c_int, eps=c_float,
)  # fmt: skip
Draw = _layout(
    "DrawArguments",
    logits=c_void_p, changes=c_void_p, scales=c_void_p, uniforms=c_void_p,
    top_k=c_void_p, top_p=c_void_p, min_p=c_void_p, floors=c_void_p, chosen=c_void_p, tokens=c_void_p,
    rows=c_int64, vocab=c_int,
)  # fmt: skip
Describe = _layout(
    "DescribeArguments",
    logits=c_void_p, tokens=c_void_p, totals=c_void_p, ranks=c_void_p, values=c_void_p, ids=c_void_p,
    rows=c_int64, vocab=c_int, count=c_int,
)  # fmt: skip
Changes = _layout("Changes", **dict.fromkeys(sampling.Changes.__slots__, c_void_p))
Change = _layout("ChangeArguments", logits=c_void_p, changes=c_void_p, out=c_void_p, rows=c_int64, vocab=c_int)
Top = _layout("TopArguments", logits=c_void_p, values=c_void_p, ids=c_void_p, rows=c_int64, vocab=c_int, count=c_int)
SiluMul = _layout("SiluMulArguments", gate_up=c_void_p, out=c_void_p, rows=c_int64, width=c_int)
