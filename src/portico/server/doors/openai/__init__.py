"""OpenAI's API: models, completions, chat completions."""

from __future__ import annotations

from fastapi import APIRouter

from portico.server.doors.openai import chat, completions, models
from portico.server.doors.openai.schema import ChatCompletionRequest, CompletionRequest
from portico.server.service import Service

BODIES = (ChatCompletionRequest, CompletionRequest)
"""What the door reads, for the OpenAPI document."""


def routers(service: Service) -> list[APIRouter]:
    """All routes of the door."""
    return [models.router(service), chat.router(service), completions.router(service)]
