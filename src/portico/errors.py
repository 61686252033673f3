"""The one hierarchy of errors: each is made once, with the field, the value and the remedy; doors only dress it."""

from __future__ import annotations

from collections.abc import Mapping


class PorticoError(Exception):
    """Base of every error that Portico raises on purpose; its text is one line meant for a person."""


class ConfigError(PorticoError):
    """A flag, an environment variable or a combination of them that cannot be honoured."""


class CheckpointError(PorticoError):
    """A model folder that is missing, incomplete or of a kind that Portico cannot run."""


class RequestError(PorticoError):
    """A request that cannot be honoured.

    `status` is the HTTP status, `type` and `code` are the words of OpenAI's error object, and `param` names the field
    at fault (dotted, as in ``messages.0.content``), or is None. `counts` are the numbers of the message by name, for
    those who say it in other words.
    """

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        status: int = 400,
        type: str = "invalid_request_error",
        code: str | None = None,
        counts: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__(message)
        self.counts = counts or {}
        self.message = message
        self.param = param
        self.status = status
        self.type = type
        self.code = code


class EngineError(RequestError):
    """The engine failed or is not there: nothing the client sent is at fault."""

    def __init__(self, message: str, *, status: int = 500, code: str = "engine_error") -> None:
        super().__init__(message, status=status, type="server_error", code=code)
