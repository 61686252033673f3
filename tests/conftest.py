"""What holds for every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="session")
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what stays between starts away from the user's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PORTICO_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("PORTICO_DATA_DIR", str(tmp_path_factory.mktemp("data")))
        yield
