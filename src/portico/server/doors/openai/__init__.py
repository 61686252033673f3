"""OpenAI's API: models, completions, chat completions."""

from __future__ import annotations

from fastapi import APIRouter

from portico.server.doors.openai import chat, completions, embeddings, models, tokens
from portico.server.doors.openai.answer_schema import ChatCompletionChunk, CompletionChunk
from portico.server.doors.openai.schema import (
    ChatCompletionRequest,
    CompletionRequest,
    DetokenizeRequest,
    EmbeddingRequest,
    TokenizeRequest,
)
from portico.server.service import Service

BODIES = (
    ChatCompletionRequest,
    ChatCompletionChunk,
    CompletionRequest,
    CompletionChunk,
    EmbeddingRequest,
    TokenizeRequest,
    DetokenizeRequest,
)
"""What the door reads, and the events that it writes, for the OpenAPI document."""


def routers(service: Service) -> list[APIRouter]:
    """All routes of the door."""
    routed = (models, chat, completions, embeddings, tokens)
    return [room.router(service) for room in routed]
