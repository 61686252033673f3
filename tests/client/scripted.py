"""A server that answers what the last message asks for: hard answers, on cue."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LONG = (
    "# 北京简介\n\n"
    + "北京是中国的首都，也是全国的政治、文化中心，拥有三千多年的建城史。" * 6
    + "\n\n```python\ndef add(a: int, b: int) -> int:\n    return a + b\n```\n\n"
    "| city | 人口 |\n|---|---:|\n| 北京 | 21,893,000 |\n| 上海 | 24,870,000 |\n\n"
    "![pixel](http://elsewhere.invalid/x.png?q=1) <script>document.title='stolen'</script>\n"
)
KEY = "scripted-key"


def deltas(said: str) -> Iterator[dict[str, Any]]:
    match said:
        case "think":
            yield from ({"reasoning_content": "Let me see. "} for _ in range(3))
            yield {"content": "The answer is **42**."}
        case "tool":
            for part in ('{"city": ', '"北京"}'):
                function = {"name": "get_weather", "arguments": part}
                yield {"tool_calls": [{"index": 0, "id": "call_a", "function": function}]}
        case "long":
            yield from ({"content": LONG[place : place + 5]} for place in range(0, len(LONG), 5))
        case "lines":
            yield from ({"content": f"- line {number}\n"} for number in range(200))
        case "escape":
            yield {"content": "\x1b]0;stolen\x07\x1b[2Jkept"}
        case _:
            yield {"content": f"You said: {said}"}


class Scripted(ThreadingHTTPServer):
    """Keeps what it was asked; `go` lets an answer to "wait" end."""

    daemon_threads = True

    def __init__(self, port: int = 0, key: str | None = None) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.asked: list[dict[str, Any]] = []
        self.gone = threading.Event()
        self.key = key

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Scripted

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        if self._welcome():
            self._whole({"data": [{"id": "scripted"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self._welcome():
            return
        self.server.asked.append(body)
        said = body["messages"][-1]["content"]
        if said == "error":
            self._whole({"error": {"message": "The messages have 5000 tokens; 4096 fit."}}, 400)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        count = 0
        for delta in deltas(said):
            count += 1
            self._event({"choices": [{"index": 0, "delta": delta}]})
        if said == "break":
            return
        try:
            while said == "wait":
                self._event({"choices": [{"index": 0, "delta": {"content": " more"}}]})
                if self.server.gone.wait(0.02):
                    break
        except OSError:
            self.server.gone.set()
            return
        self._event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        self._event({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": count}})
        self.wfile.write(b"data: [DONE]\n\n")

    def _welcome(self) -> bool:
        if self.server.key in (None, self.headers.get("Authorization", "").removeprefix("Bearer ")):
            return True
        self._whole({"error": {"message": "no such key"}}, 401)
        return False

    def _event(self, event: dict[str, Any]) -> None:
        self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
        self.wfile.flush()

    def _whole(self, body: dict[str, Any], status: int = 200) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())


@contextmanager
def scripted(port: int = 0, key: str | None = None) -> Iterator[Scripted]:
    """One that listens; on the way out it stops listening."""
    server = Scripted(port, key)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.gone.set()
        server.shutdown()
        server.server_close()
        thread.join()
