"""Rotary frequencies of every supported scaling.

Dynamic NTK makes the base depend on the length of the sequence. Keys stay in the cache as they were rotated, blocks are
shared between requests, and a prompt may come in chunks; so one base must hold for the whole engine. It is the one that
the method gives for a sequence of `max_model_len` tokens: up to the model's own max_position_embeddings (the default)
that is the unscaled one, exactly; an engine started with a longer `max_model_len` stretches once and for all.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from portico.model.rope_config import RopeConfig


class Rotary:
    """Angles for positions."""

    def __init__(self, rope: RopeConfig, head_dim: int, max_model_len: int, device: torch.device) -> None:
        frequencies, self._scale = inverse_frequencies(rope, head_dim, max_model_len)
        self._frequencies = frequencies.to(device)

    def angles(self, positions: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """cos and sin for positions [tokens], each [tokens, 1, head_dim], as `rotate_torch` takes them."""
        angle = positions.unsqueeze(1).float() * self._frequencies
        cos, sin = angle.cos().mul_(self._scale).to(dtype), angle.sin().mul_(self._scale).to(dtype)
        return torch.cat((cos, cos), dim=1).unsqueeze(1), torch.cat((-sin, sin), dim=1).unsqueeze(1)


def inverse_frequencies(rope: RopeConfig, head_dim: int, max_model_len: int) -> tuple[Tensor, float]:
    """Radians per position of each pair, float32 [head_dim / 2], and the factor on cos and sin."""
    plain = _powers(rope.theta, head_dim)
    match rope.type:
        case "default":
            return plain, 1.0
        case "linear":
            return plain / rope.factor, 1.0
        case "dynamic":
            return _powers(_ntk_base(rope, head_dim, max_model_len), head_dim), 1.0
        case "llama3":
            return _llama3(plain, rope), 1.0
        case "yarn":
            return _yarn(plain, rope, head_dim), _yarn_scale(rope)


def _powers(base: float, head_dim: int) -> Tensor:
    return 1.0 / (base ** (torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim))


def _ntk_base(rope: RopeConfig, head_dim: int, max_model_len: int) -> float:
    """Dynamic NTK-aware scaling; the rule of transformers for a sequence of max_model_len tokens."""
    length = max(max_model_len, rope.original_length)
    stretch = rope.factor * length / rope.original_length - (rope.factor - 1)
    return float(rope.theta * stretch ** (head_dim / (head_dim - 2)))


def _llama3(plain: Tensor, rope: RopeConfig) -> Tensor:
    """Long waves are slowed down by `factor`, short ones kept, those between blended (Llama 3.1 reference code)."""
    waves = rope.original_length * plain / (2 * math.pi)
    """Turns within the original context."""
    blend = ((waves - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor)).clamp(0.0, 1.0)
    return (1 - blend) * plain / rope.factor + blend * plain


def _yarn(plain: Tensor, rope: RopeConfig, head_dim: int) -> Tensor:
    """Interpolates slow pairs, keeps fast ones, ramps between. Source: Peng et al. 2023, arXiv:2309.00071."""

    def pair_with_turns(turns: float) -> float:
        return head_dim * math.log(rope.original_length / (turns * 2 * math.pi)) / (2 * math.log(rope.theta))

    low, high = pair_with_turns(rope.beta_fast), pair_with_turns(rope.beta_slow)
    if rope.truncate:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, head_dim - 1)
    if low == high:
        high += 0.001  # a ramp of no width would divide by zero
    ramp = ((torch.arange(head_dim // 2, dtype=torch.float32) - low) / (high - low)).clamp(0.0, 1.0)
    return plain / rope.factor * ramp + plain * (1 - ramp)


def _yarn_scale(rope: RopeConfig) -> float:
    """YaRN's attention temperature, folded into cos and sin of queries and keys alike."""
    if rope.attention_factor is not None:
        return rope.attention_factor
    if rope.mscale and rope.mscale_all_dim:
        return _mscale(rope.factor, rope.mscale) / _mscale(rope.factor, rope.mscale_all_dim)
    return _mscale(rope.factor, 1.0)


def _mscale(factor: float, weight: float) -> float:
    return 0.1 * weight * math.log(factor) + 1.0 if factor > 1 else 1.0
