"""The conversations that the server keeps for clients that send only what is new."""

from __future__ import annotations

from dataclasses import dataclass

from portico.config.option import option
from portico.config.values import parse_positive, parse_seconds

SESSIONS = "conversations kept for clients that send only what is new"


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """How many, how long, and where."""

    max_sessions: int = option(
        1000,
        "how many for each API key, and as many responses; with one more, that which was used longest ago is forgotten",
        group=SESSIONS, parse=parse_positive, metavar="N",
    )  # fmt: skip
    session_idle: float = option(
        86400.0, "seconds without use after which one is forgotten; 0: never",
        group=SESSIONS, parse=parse_seconds, metavar="SECONDS",
    )  # fmt: skip
    session_store: str = option(
        "auto", "where they are kept: sqlite:///PATH, memory:, redis://HOST:PORT/N, postgresql://USER@HOST/DATABASE, "
        "or auto (a SQLite file in PORTICO_DATA_DIR, else in portico in the user's data directory)",
        group=SESSIONS, metavar="URL",
    )  # fmt: skip
