"""The rotary embedding as config.json has it, in the old (`rope_scaling`) and new (`rope_parameters`) spelling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from portico.errors import CheckpointError
from portico.model.config_values import Values

RopeType = Literal["default", "linear", "dynamic", "llama3", "yarn"]


@dataclass(frozen=True, slots=True)
class RopeConfig:
    """Base and scaling of the rotary frequencies; which fields count depends on the type."""

    type: RopeType = "default"
    theta: float = 10_000.0
    factor: float = 1.0
    original_length: int = 0
    """llama3, yarn: the length that the model was first trained on; dynamic: max_position_embeddings."""
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    attention_factor: float | None = None
    mscale: float | None = None
    mscale_all_dim: float | None = None
    truncate: bool = True

    def stretched_length(self, max_position_embeddings: int) -> int:
        """The longest sequence that the scaling is made for.

        Linear and dynamic configs give the length before scaling, yarn gives it apart, llama3 the length after it.
        """
        match self.type:
            case "linear" | "dynamic":
                return int(max_position_embeddings * self.factor)
            case "yarn":
                return max(max_position_embeddings, int(self.original_length * self.factor))
            case _:
                return max_position_embeddings


def read_rope(values: Values, max_position_embeddings: int) -> RopeConfig:
    """The rotary embedding of a model; raises CheckpointError for a type or key that is not supported."""
    new, old = values.section("rope_parameters"), values.section("rope_scaling")
    section = new if new.unread() else old
    theta = section.number("rope_theta", values.number("rope_theta", 10_000.0))
    if values.get("partial_rotary_factor", 1.0) != 1.0 or section.get("partial_rotary_factor", 1.0) != 1.0:
        raise CheckpointError(f"{values.source}: partial_rotary_factor is set; Portico rotates whole heads only.")
    legacy_type = section.get("type", "default")
    kind = section.get("rope_type", legacy_type)
    if kind not in get_args(RopeType):
        raise section.error("rope_type", kind, f"one of {', '.join(get_args(RopeType))}, which Portico supports")
    top_level_original = values.get("original_max_position_embeddings")
    rope = _read_type(section, kind, theta, top_level_original or max_position_embeddings)
    if unknown := sorted(section.unread()):
        raise CheckpointError(f"{section.source}: {unknown[0]} means nothing to Portico for rope type {kind}.")
    return rope


def _read_type(section: Values, kind: RopeType, theta: float, original_default: int) -> RopeConfig:
    if kind == "default":
        return RopeConfig(theta=theta)
    factor = section.number("factor")
    original = section.integer("original_max_position_embeddings", original_default)
    if kind in ("linear", "dynamic"):
        return RopeConfig(kind, theta, factor, original_default)
    if kind == "llama3":
        low, high = section.number("low_freq_factor"), section.number("high_freq_factor")
        if high <= low:
            raise section.error("high_freq_factor", high, f"above low_freq_factor, {low}")
        return RopeConfig(kind, theta, factor, original, low, high)
    return RopeConfig(
        kind,
        theta,
        factor,
        original,
        beta_fast=section.number("beta_fast", 32.0),
        beta_slow=section.number("beta_slow", 1.0),
        attention_factor=section.optional_number("attention_factor"),
        mscale=section.optional_number("mscale"),
        mscale_all_dim=section.optional_number("mscale_all_dim"),
        truncate=section.flag("truncate", True),
    )
