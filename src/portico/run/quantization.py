"""In how many bits weights are kept, and where they are kept from one start to the next."""

from __future__ import annotations

import logging
from pathlib import Path

import torch

from portico import __version__
from portico.config.engine import EngineConfig
from portico.config.values import size_text
from portico.kernels.dispatch import Kernels, Quantization, can_quantize
from portico.model.config import ModelConfig
from portico.run.machine import available_memory
from portico.weights.packed import Key, PackedWeights
from portico.weights.safetensors import Checkpoint

log = logging.getLogger(__name__)

_SHARE = 0.8
"""Of the available memory that weights may take; keys, values and activations need the rest."""
_BYTES_PER_WEIGHT: dict[Quantization, float] = {"int8": 1 + 4 / 128, "int4": 0.5 + 2 / 32}


def choose_quantization(
    config: EngineConfig, model: ModelConfig, device: torch.device, dtype: torch.dtype
) -> tuple[Quantization, str]:
    """What is asked for, or for "auto" the first of none, int8 and int4 that the memory holds; and why, for people."""
    if config.quantization != "auto":
        return config.quantization, "as asked"
    if not can_quantize(device, dtype, config.kernels):
        return "none", "auto: nothing else runs here"
    available = available_memory()
    if weight_bytes(model, "none", dtype) <= available * _SHARE:
        return "none", "auto: the memory holds them so"
    chosen: Quantization = "int8" if weight_bytes(model, "int8", dtype) <= available * _SHARE else "int4"
    whole = size_text(weight_bytes(model, "none", dtype))
    why = f"auto: unquantised they take {whole}, available are {size_text(available)}"
    log.warning("Weights are quantised to %s (%s). --quantization none prevents it.", chosen, why)
    return chosen, why


def weight_bytes(model: ModelConfig, quantization: Quantization, dtype: torch.dtype) -> int:
    """Memory that the weights of all products and the embedding take in a format."""
    table = model.vocab_size * model.hidden_size
    attention = 2 * model.hidden_size * model.head_dim * (model.num_heads + model.num_kv_heads)
    layers = model.num_layers * (attention + 3 * model.hidden_size * model.intermediate_size)
    if quantization == "none":
        # The embedding's rows are read from the file, which the system may drop from memory, unless they are converted.
        tables = table if model.dtype == str(dtype).removeprefix("torch.") else 2 * table
        return (layers + tables) * dtype.itemsize
    tables = table if model.tie_word_embeddings else 2 * table
    return int(layers * _BYTES_PER_WEIGHT[quantization] + tables * _BYTES_PER_WEIGHT["int8"])


def packed_weights(
    config: EngineConfig, checkpoint: Checkpoint, kernels: Kernels, quantization: Quantization, dtype: torch.dtype
) -> PackedWeights:
    """What is kept of this checkpoint in this format; nothing where packing is too quick for that."""
    if config.weights_cache is None or kernels.packing is None:
        return PackedWeights()
    files = checkpoint.identity()
    place = (*(str(path) for path, *_ in files), quantization, str(dtype), kernels.packing[0])
    key = Key(
        name=f"{checkpoint.folder.resolve().name}-{quantization}",
        place=place,
        state={"version": __version__, "place": list(place), "build": kernels.packing[1], "files": files},
    )
    return PackedWeights(Path(config.weights_cache), key, config.weights_cache_size)
