"""What every door is given: the text layer of the model, and the settings."""

from __future__ import annotations

from dataclasses import dataclass, field

from fastapi import Request

from portico.errors import RequestError
from portico.protocol.request import Terms
from portico.server.dialect import OPENAI, Dialect
from portico.server.metrics.metrics import Metrics
from portico.server.metrics.watched import WatchedEngine
from portico.server.sessions.history import Key, owner_of
from portico.server.sessions.sessions import Sessions
from portico.server.settings import ServerSettings
from portico.server.terms import read_terms
from portico.text.pipeline import Pipeline
from portico.text.trace import Trace


@dataclass(frozen=True, slots=True)
class Service:
    """One model that is served under one or more names."""

    pipeline: Pipeline
    engine: WatchedEngine
    """The pipeline's."""
    metrics: Metrics
    trace: Trace
    """What happened to the latest requests, where that is kept."""
    settings: ServerSettings
    sessions: Sessions
    """Conversations that are kept from request to request."""
    started: int
    """Unix time of the start, which is all that is known about when the model was created."""
    dialect: Dialect = OPENAI
    """What `--compat` says of the answers of OpenAI's routes."""
    ignored_fields: set[str] = field(default_factory=set)
    """Unknown request fields that have been logged already."""

    def resolve_model(self, asked: str | None) -> str:
        """The name to answer with; RequestError 404 for a model that is not served, unless any name will do."""
        names = self.settings.model_names
        if asked is None or asked in names or self.dialect.any_model:
            return asked or names[0]
        raise RequestError(
            f"The model {asked!r} does not exist; this server has {', '.join(map(repr, names))}.",
            param="model",
            status=404,
            code="model_not_found",
        )

    def terms(self, http: Request, priority: int | None = None) -> Terms:
        """On what terms a request runs; RequestError if it asks for what there is not."""
        return read_terms(http.scope, self.settings, priority)

    def session(self, key_digest: str, name: str, kind: str = "") -> Key:
        """Where the conversation of that name, or another kind of thing, is kept for whoever has the API key.

        Each kind has the limits of the store for itself.
        """
        return Key(owner_of(key_digest, self.settings.model_names[0], kind), name)
