"""How log lines look: text for people, or one JSON object a line; the server's and its engine's alike."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Literal

LogFormat = Literal["text", "json"]


def set_up(level: str, log_format: LogFormat, process: Literal["server", "engine"]) -> None:
    """Make the root logger write to standard error in this form."""
    handler = logging.StreamHandler()
    if log_format == "json":
        handler.setFormatter(JsonLines(process))
    else:
        told = "" if process == "server" else f"{process} "
        handler.setFormatter(logging.Formatter(f"%(asctime)s %(levelname)s {told}%(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler])


def about(request_id: str, **fields: object) -> dict[str, dict[str, object]]:
    """The `extra` of a log call that is about a request: fields of its own in JSON lines."""
    return {"fields": {"request_id": request_id, **fields}}


class JsonLines(logging.Formatter):
    """time, level, process, logger, message, then what `about` adds, and a traceback as one string."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "process": self._process,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)
