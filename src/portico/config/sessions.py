"""Where sessions are kept unless something else is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def default_session_store(environ: Mapping[str, str]) -> str:
    """The URL of a file in PORTICO_DATA_DIR, else portico in the user's data directory (XDG_DATA_HOME, else
    ~/.local/share); where there is no home, that of the memory.
    """
    try:
        return f"sqlite:///{data_folder(environ).absolute() / 'sessions.sqlite3'}"
    except RuntimeError:  # no home
        return "memory:"


def data_folder(environ: Mapping[str, str]) -> Path:
    """PORTICO_DATA_DIR, else portico in the user's data directory; RuntimeError where there is no home."""
    if own := environ.get("PORTICO_DATA_DIR"):
        return Path(own).expanduser()
    xdg = Path(environ.get("XDG_DATA_HOME", ""))
    return (xdg if xdg.is_absolute() else Path.home() / ".local" / "share") / "portico"
