"""Portico: one inference engine for large language models behind many front doors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from portico.answers import Answer
    from portico.llm import LLM
    from portico.protocol.sampling import SamplingParams

__version__ = "0.1.0"
__all__ = ["LLM", "Answer", "SamplingParams", "__version__"]


def __getattr__(name: str) -> Any:
    # Lazily, so that `import portico` and the front process never pay for torch.
    if name in ("LLM", "Answer"):
        from portico import llm

        return getattr(llm, name)
    if name == "SamplingParams":
        from portico.protocol.sampling import SamplingParams

        return SamplingParams
    raise AttributeError(f"module 'portico' has no attribute {name!r}")
