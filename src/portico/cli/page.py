"""The page to chat in beside a server: `portico serve --web`."""

from __future__ import annotations

import importlib.util

from portico.cli.beside import Beside, start
from portico.config.options.http import HttpOptions
from portico.errors import ConfigError

MISSING = "the page needs Gradio: pip install 'portico[web]'"


def check_page(*, secure: bool) -> None:
    """ConfigError if there can be no page; `secure`: whether the server speaks HTTPS."""
    if importlib.util.find_spec("gradio") is None:
        raise ConfigError(f"--web: {MISSING}")
    if secure:
        raise ConfigError("--web talks to the server without HTTPS; start portico web URL beside it instead")


def page_beside(http: HttpOptions, port: int) -> Beside:
    """The page in a process of its own, ready; where the server wants a key, so does the page. PorticoError."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}.get(http.host, http.host)
    url = f"http://{f'[{host}]' if ':' in host and host[0] != '[' else host}:{port}"
    return start("web", [url, "--host", http.host or "0.0.0.0", "--port", str(http.web_port)])
