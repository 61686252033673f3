"""Matrix times weight: plain torch, and oneDNN with weights packed once at load."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

Linear = Callable[[Tensor], Tensor]
"""x [tokens, in] -> [tokens, out]."""

Rows = Callable[[Tensor], Tensor]
"""Token ids [tokens] -> rows of a weight [tokens, in]."""

Shape = tuple[int, int]
"""Of a weight: out, in."""


class NotFiniteError(ValueError):
    """A number of a weight is none, or infinite."""


@dataclass(frozen=True, slots=True)
class WeightFormat:
    """How the weights of products are kept, and what is done with them there."""

    product: Callable[[Tensor, Shape, Tensor | None], Linear]
    """The linear layer of a packed weight of this shape, with bias [out]."""
    pack: Callable[..., Tensor] = lambda *parts: stacked(parts)
    """A weight [out, in] as it is kept, from one or several parts of its rows."""
    packed_bytes: Callable[[Shape], int] | None = None
    """Of a packed weight, where packing makes bytes that a file can hold; it raises NotFiniteError then."""
    rows: Callable[[Tensor, Shape], Rows] | None = None
    """The rows of a packed weight, for an embedding; None where they are better read from the weight as it was."""

    def __call__(self, weight: Tensor, bias: Tensor | None) -> Linear:
        """The linear layer with this weight [out, in] and bias [out]."""
        return self.product(self.pack(weight), (weight.shape[0], weight.shape[1]), bias)


def stacked(parts: Sequence[Tensor]) -> Tensor:
    """Parts of a weight's rows one above the other."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


def plain_format(linear: Callable[[Tensor, Tensor | None], Linear]) -> WeightFormat:
    """The format in which weights are as the checkpoint has them."""
    return WeightFormat(
        product=lambda weight, _, bias: linear(weight, bias), rows=lambda weight, _: partial(F.embedding, weight=weight)
    )


def linear_torch(weight: Tensor, bias: Tensor | None) -> Linear:
    """The linear layer with this weight [out, in] and bias [out]."""
    return partial(F.linear, weight=weight, bias=bias)


def linear_onednn(weight: Tensor, bias: Tensor | None) -> Linear:
    """The same over a packed copy of a bfloat16 weight on the CPU.

    oneDNN reads the blocked layout about twice as fast as rows when there are few tokens, which is what decoding is.
    """
    packed = torch.ops.mkldnn._reorder_linear_weight(weight)
    return partial(_packed_linear, packed, bias)


def _packed_linear(packed: Tensor, bias: Tensor | None, x: Tensor) -> Tensor:
    out: Tensor = torch.ops.mkldnn._linear_pointwise(x, packed, bias, "none", [], "")
    return out


def onednn_has_packed_bf16() -> bool:
    """Whether this torch has the packed ops and this CPU multiplies bfloat16 natively."""
    ops = torch.ops.mkldnn
    if not (torch.backends.mkldnn.is_available() and cpu_has_bf16()):  # type: ignore[no-untyped-call]
        return False
    return hasattr(ops, "_reorder_linear_weight") and hasattr(ops, "_linear_pointwise")


def cpu_has_bf16() -> bool:
    """Whether oneDNN has native bfloat16 kernels here (AVX512-BF16, AMX or their like on other architectures)."""
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return bool(supported()) if supported is not None else False
