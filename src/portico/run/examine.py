"""What this machine is to Portico, and what a model would need here: `python -m portico.run.examine`.

Takes one line of JSON on standard input, an engine's configuration or null, and prints one JSON object. A process of
its own, for whoever asks does without torch.
"""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec
import torch

from portico.config.engine import EngineConfig
from portico.errors import PorticoError
from portico.kernels.native import INSTRUCTION_SETS, load_native, native_library
from portico.model.config import ModelConfig, read_config
from portico.run.build import BATCHED_TOKENS
from portico.run.device import resolve_device, resolve_dtype, resolve_kv_dtype
from portico.run.limits import free_memory, size_cache, wanted_model_len
from portico.run.machine import available_memory, cpu_quota, memory_limit, total_memory, usable_cores
from portico.run.needs import FORMATS, Case
from portico.run.quantization import choose_quantization

FLAGS = ("avx2", "fma", "f16c", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16", "amx_int8")
"""Of /proc/cpuinfo, those that kernels are made for."""
WANTED = {
    "amx": ("amx_tile", "amx_bf16", "amx_int8"),
    "avx512-bf16": ("avx512f", "avx512_vnni", "avx512_bf16"),
    "avx2": ("avx2", "fma"),
    "baseline": (),
}
LIBRARIES = ("torch", "numpy", "tokenizers", "safetensors", "fastapi", "uvicorn", "pyzmq", "llguidance", "msgspec")


def examine(config: EngineConfig | None) -> dict[str, Any]:
    """Everything that is to be told, as what JSON can hold."""
    facts: dict[str, Any] = {
        "processor": _processor(),
        "memory": {
            "available": available_memory(),
            "total": total_memory(),
            "limit": memory_limit(),
            "huge_pages": _huge_pages(),
            "examiner": _resident(),
        },
        "kernels": _kernels(),
        "gpus": _gpus(),
        "versions": _versions(),
    }
    if config is not None:
        try:
            facts["model"] = _model(config)
        except PorticoError as error:
            facts["model"] = {"path": config.model_path, "problem": str(error)}
    return facts


def _processor() -> dict[str, Any]:
    cpus = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    lines = [line.split(":", 1) for line in _read("/proc/cpuinfo").splitlines() if ":" in line]
    named = {name.strip(): value.strip() for name, value in reversed(lines)}
    flags = set(named.get("flags", named.get("Features", "")).split())
    quota = cpu_quota()
    return {
        "name": named.get("model name", platform.processor() or platform.machine()),
        "cores_to_use": usable_cores(),
        "hardware_threads": os.cpu_count(),
        "allowed_threads": len(cpus),
        "quota": None if quota == float("inf") else quota,
        "instructions": [flag for flag in FLAGS if flag in flags],
    }


def _huge_pages() -> dict[str, str]:
    chosen = _read("/sys/kernel/mm/transparent_hugepage/enabled")
    reserved = next((line.split()[1] for line in _read("/proc/meminfo").splitlines() if "HugePages_Total" in line), "0")
    return {"transparent": chosen.partition("[")[2].partition("]")[0] or "unknown", "reserved": reserved}


def _kernels() -> dict[str, Any]:
    """Which of the native ones are in use, and why better ones are not."""
    best = load_native(torch.float32)
    if best is None:
        built = native_library() is not None
        why = "the library cannot be loaded" if built else "not built: there was no compiler when Portico was installed"
        return {"active": "torch", "others": dict.fromkeys(INSTRUCTION_SETS, why)}
    has = set(_processor()["instructions"])
    others = {}
    for name in INSTRUCTION_SETS[: INSTRUCTION_SETS.index(best.instruction_set)]:
        lacking = [flag for flag in WANTED[name] if flag not in has]
        others[name] = f"this processor lacks {', '.join(lacking)}" if lacking else "the compiler could not build them"
    return {"active": best.instruction_set, "others": others}


def _gpus() -> list[dict[str, Any]]:
    if not torch.cuda.is_available():
        return []
    found = []
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        found.append({"name": torch.cuda.get_device_name(index), "available": free, "total": total})
    return found


def _versions() -> dict[str, str]:
    told = {"python": platform.python_version(), "system": f"{platform.system()} {platform.release()}"}
    for name in ("portico", *LIBRARIES):
        try:
            told[name] = version(name)
        except PackageNotFoundError:
            told[name] = "not installed"
    return told


def _model(config: EngineConfig) -> dict[str, Any]:
    """What the model needs in each format, and whether it can be served as configured."""
    model = read_config(Path(config.model_path))
    device = resolve_device(config.device)
    dtype = resolve_dtype(config.dtype, model.dtype, device)
    kv_dtype = resolve_kv_dtype(config.kv_cache_dtype, dtype)
    length = wanted_model_len(config, model)
    case = Case(config, model, device, dtype, length, config.max_num_batched_tokens or BATCHED_TOKENS[device.type])
    chosen, why = choose_quantization(config, model, device, dtype)
    formats = {}
    for name in FORMATS if case.quantizes() else FORMATS[:1]:
        needs = case.needs(name, kv_dtype)
        fits = case.problem(name, kv_dtype) is None
        formats[name] = {"weights": needs.weights, "longest": min(length, case.tokens_beside(needs)), "fits": fits}
    needs, problem = case.needs(chosen, kv_dtype), case.problem(chosen, kv_dtype)
    told: dict[str, Any] = {
        "path": config.model_path,
        "architecture": model.architecture,
        "parameters": _parameters(model),
        "device": str(device),
        "dtype": _name(dtype),
        "formats": formats,
        "quantization": chosen,
        "why": why,
        "kv_cache_dtype": _name(kv_dtype),
        "weights": needs.weights,
        "tables": needs.tables,
        "first": needs.first,
        "steps": needs.steps,
        "kv_bytes_per_token": needs.per_token,
        "process": _resident(),
        "available": free_memory(device)[0],
        "wanted_context": length,
        "problem": problem,
    }
    if problem is None:
        size = size_cache(config, model, length, kv_dtype, device, needs.fixed)
        told["context"] = size.max_model_len
        told["kv_cache_tokens"] = size.num_blocks * config.block_size
        told["kv_cache"] = (size.num_blocks + 1) * config.block_size * needs.per_token
        int8 = case.needs(chosen, torch.int8)
        told["longest_context"] = min(model.max_model_len, case.tokens_beside(needs))
        told["longest_context_int8"] = min(model.max_model_len, case.tokens_beside(int8))
    return told


def _parameters(model: ModelConfig) -> int:
    """Numbers in the products and the embedding."""
    table = model.vocab_size * model.hidden_size
    attention = 2 * model.hidden_size * model.head_dim * (model.num_heads + model.num_kv_heads)
    layers = model.num_layers * (attention + 3 * model.hidden_size * model.intermediate_size)
    return layers + (1 if model.tie_word_embeddings else 2) * table


def _resident() -> int:
    """Bytes of this process, which has loaded what an engine loads before its model."""
    for line in _read("/proc/self/status").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _read(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def main() -> int:
    """Answer the question on standard input."""
    config = msgspec.json.decode(sys.stdin.readline(), type=EngineConfig | None)
    sys.stdout.buffer.write(msgspec.json.encode(examine(config)) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
