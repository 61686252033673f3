"""The bundled demo model."""

from __future__ import annotations

from pathlib import Path

NAME = "portico-demo"


def demo_folder() -> Path:
    """The folder of the bundled checkpoint."""
    return Path(__file__).parent / "model"
