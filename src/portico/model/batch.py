"""What one run of the model computes, as tensors; made by `portico.run.batch`."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from portico.kernels.context import Context


@dataclass(frozen=True, slots=True)
class Batch:
    """Tokens of all rows of a step, one after another, and where their context lies."""

    token_ids: Tensor
    """int64 [tokens]"""
    positions: Tensor
    """int64 [tokens]"""
    context: Context
    draws: Tensor | None
    """int64 [draws]: the tokens whose logits are wanted; None: of all."""
