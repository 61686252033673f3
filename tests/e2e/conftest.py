"""A real `portico serve` with the bundled model, shared by the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.serving import Server, serving


@pytest.fixture(scope="session")
def demo() -> Iterator[Server]:
    with serving("--kv-cache-memory", "64MiB") as server:
        yield server
