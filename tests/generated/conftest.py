"""Clients made from the OpenAPI document of a real server: `make generated-clients-test`."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from tests.e2e.serving import Server, serving

# What makes clients has an environment of its own, and needs Node.
collect_ignore_glob = [] if find_spec("openapi_python_client") else ["test_*.py"]


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    """A server with the bundled model."""
    server: Server
    with serving("--kv-cache-memory", "64MiB") as server:
        yield server.url


@pytest.fixture(scope="session")
def document(url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What clients are made from."""
    path = tmp_path_factory.mktemp("document") / "openapi.json"
    path.write_text(httpx.get(f"{url}/openapi.json").raise_for_status().text)
    return path
