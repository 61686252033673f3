"""MLC LLM's modes: how many sequences share how much memory, where no option says it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mode:
    """What a mode stands for; options that are given win."""

    max_num_seqs: int
    one_context: bool
    """Whether keys and values get no more memory than one sequence of full length needs."""
    longest_context: int | None
    """Tokens that a sequence may have at most, unless more are asked for."""


MODES = {
    "local": Mode(max_num_seqs=4, one_context=True, longest_context=8192),
    "interactive": Mode(max_num_seqs=1, one_context=True, longest_context=None),
    "server": Mode(max_num_seqs=128, one_context=False, longest_context=None),
}
