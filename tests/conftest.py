"""What holds for every test."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="session")
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what stays between starts away from the user's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PORTICO_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("PORTICO_DATA_DIR", str(tmp_path_factory.mktemp("data")))
        yield


@pytest.fixture(autouse=True, scope="session")
def interruptible() -> None:
    """Let programs under test be interrupted: a job in the background of a script ignores SIGINT, and so would they."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
