"""OpenAI's API: models, completions, chat completions."""

from __future__ import annotations

from fastapi import APIRouter

from portico.server.doors.openai import chat, completions, embeddings, models
from portico.server.doors.openai.schema import ChatCompletionRequest, CompletionRequest, EmbeddingRequest
from portico.server.service import Service

BODIES = (ChatCompletionRequest, CompletionRequest, EmbeddingRequest)
"""What the door reads, for the OpenAPI document."""


def routers(service: Service) -> list[APIRouter]:
    """All routes of the door."""
    return [router(service) for router in (models.router, chat.router, completions.router, embeddings.router)]
