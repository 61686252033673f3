"""Frameworks that talk to a server, as judges: `make clients-test` runs them in an environment of their own."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from tests.e2e.serving import Server, serving

# Their dependencies are many and disagree with those of the other tests.
collect_ignore_glob = [] if find_spec("litellm") else ["test_*.py"]


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    """The API of a server with the bundled model."""
    server: Server
    with serving("--kv-cache-memory", "64MiB") as server:
        yield f"{server.url}/v1"
