"""How many connections there may be: as many as this process may open files, but for those that it needs itself."""

from __future__ import annotations

import contextlib
import sys

OWN_FILES = 256
"""Kept for models, stores, pipes, and connections that are accepted together before the first is counted."""


def most_connections() -> int | None:
    """Let this process open as many files as it may, and say how many may be connections; None: nobody counts here."""
    if sys.platform == "win32":
        return None
    import resource

    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if now != most:
        with contextlib.suppress(ValueError, OSError):  # macOS says "any number" and has a limit of its own
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    now, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if now == resource.RLIM_INFINITY else max(now - OWN_FILES, now // 2)
