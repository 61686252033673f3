"""Where files are kept that only save time: each may be deleted at any moment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

WEIGHTS_CACHE_BYTES = 20 << 30
"""Of packed weights, unless something else is asked for."""


def weights_cache_folder(choice: str, environ: Mapping[str, str]) -> str | None:
    """The folder for packed weights, inside the one that is meant by "auto" or the name of a folder; None for "off".

    It is a folder of its own wherever it is, for its contents come and go. "auto" is PORTICO_CACHE_DIR, else portico in
    the user's cache directory (XDG_CACHE_HOME, else ~/.cache); where there is no home it is "off".
    """
    if choice == "off":
        return None
    try:
        base = Path(choice).expanduser() if choice != "auto" else _cache_folder(environ)
    except RuntimeError:  # no home
        return None
    return str(base.absolute() / "packed-weights")


def _cache_folder(environ: Mapping[str, str]) -> Path:
    if own := environ.get("PORTICO_CACHE_DIR"):
        return Path(own).expanduser()
    xdg = Path(environ.get("XDG_CACHE_HOME", ""))
    return (xdg if xdg.is_absolute() else Path.home() / ".cache") / "portico"
