"""What a server says when it is ready: what it serves, where, and a line to try."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence

from portico import __version__
from portico.config.options.http import HttpOptions
from portico.protocol.messages import Loaded
from portico.text.builtin import builtin_names


def banner(
    loaded: Loaded, names: Sequence[str], port: int, options: HttpOptions, *, chat: bool = True, secure: bool = False
) -> str:
    """The lines; `chat`: whether the model has a chat template, `secure`: whether it is HTTPS."""
    host = f"[{options.host}]" if ":" in options.host else options.host
    url = f"http{'s' if secure else ''}://{host}:{port}"
    key = ' -H "Authorization: Bearer $KEY"' if options.api_key else ""
    asked = (
        {"messages": [{"role": "user", "content": "Hello! Who are you?"}]} if chat else {"prompt": "Once upon a time"}
    )
    body = json.dumps({"model": names[0], **asked})
    route = "chat/completions" if chat else "completions"
    hint = (
        "" if chat else f"  no chat template: chat is refused; --chat-template {'|'.join(builtin_names())} or a file\n"
    )
    cache = f"{loaded.num_blocks * loaded.block_size} tokens"
    if loaded.kv_cache_dtype not in ("", loaded.dtype):
        cache += f" in {loaded.kv_cache_dtype}"
    return (
        f"Portico {__version__} serves {', '.join(names)} at {url}/v1\n"
        f"  {loaded.device}, {loaded.dtype}, {loaded.threads} threads, kernels {loaded.kernels}; context "
        f"{loaded.max_model_len} tokens, KV cache {cache}; model loaded in {loaded.load_seconds:.2f} s\n"
        f"  weights {loaded.weights}\n"
        f"{hint}  try:  curl {url}/v1/{route} -H 'Content-Type: application/json'{key} -d {shlex.quote(body)}\n"
        f"  {f'docs: {url}/docs     ' if options.docs else ''}stop: Ctrl-C"
    )
