"""GET /ping, /load and /server_info: how the server is, as vLLM tells it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from portico.errors import RequestError
from portico.server.doors.vllm.schema import ServerInfo
from portico.server.health import HEALTH, health_answer
from portico.server.service import Service

CONFIG_FORMAT = {"type": "string", "enum": ["text", "json"], "default": "text"}


def router(service: Service) -> APIRouter:
    """The routes that tell of the server."""
    routes = APIRouter(tags=["vllm"])

    @routes.get("/ping", **HEALTH)
    @routes.post("/ping", **HEALTH)
    async def ping() -> Response:
        """The same as /health, at the place where SageMaker looks."""
        return health_answer(service)

    @routes.get("/load")
    async def load() -> dict[str, int]:
        """How many prompts are being answered or wait for it."""
        return {"server_load": service.engine.running}

    @routes.get(
        "/server_info",
        response_model=None,
        responses={200: {"model": ServerInfo}},
        openapi_extra={"parameters": [{"name": "config_format", "in": "query", "schema": CONFIG_FORMAT}]},
    )
    async def server_info(http: Request) -> Response:
        """What runs, with which limits: as one text, or with ?config_format=json as objects."""
        form = http.query_params.get("config_format", "text")
        if form not in ("text", "json"):
            raise RequestError(
                f"config_format is {form!r:.80}; it must be text or json.", param="config_format", code="invalid_value"
            )
        config = _config(service)
        fields: dict[str, Any] = {"vllm_config": config if form == "json" else _text(config)}
        return JSONResponse({**fields, "version": service.settings.version})

    return routes


def _config(service: Service) -> dict[str, dict[str, Any]]:
    """The engine's limits under vLLM's names."""
    loaded, names = service.pipeline.engine.loaded, service.settings.model_names
    return {
        "model_config": {
            "model": names[0],
            "served_model_name": list(names),
            "dtype": loaded.dtype,
            "max_model_len": loaded.max_model_len,
            "max_logprobs": service.settings.max_logprobs,
        },
        "cache_config": {
            "block_size": loaded.block_size,
            "num_gpu_blocks": loaded.num_blocks,
            "cache_dtype": loaded.kv_cache_dtype,
        },
        "scheduler_config": {
            "max_num_seqs": loaded.max_num_seqs,
            "max_num_batched_tokens": loaded.max_num_batched_tokens,
        },
        "device_config": {"device": loaded.device},
    }


def _text(config: dict[str, dict[str, Any]]) -> str:
    return ", ".join(f"{name}={value!r}" for part in config.values() for name, value in part.items())
