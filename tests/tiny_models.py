"""Tiny random checkpoints of every family, written by `transformers`, which is also the oracle of what they compute."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import PreTrainedModel

VOCAB = 199

_SHAPE: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": None,
    # Large enough for attention and logits to be far from uniform.
    "initializer_range": 0.2,
}


@dataclass(frozen=True, slots=True)
class TinyModel:
    """A recipe: the family's name in `transformers`, and what its config says beyond the common shape."""

    family: str
    extra: dict[str, Any] = field(default_factory=dict)


TINY_MODELS = {
    "llama": TinyModel("Llama"),
    "llama-tied": TinyModel("Llama", {"tie_word_embeddings": True}),
    "llama-biased": TinyModel("Llama", {"attention_bias": True, "mlp_bias": True}),
    "llama-head-dim": TinyModel("Llama", {"head_dim": 16, "num_key_value_heads": 1}),
    "llama-multi-head": TinyModel("Llama", {"num_key_value_heads": 4}),
    "mistral": TinyModel("Mistral", {"sliding_window": None}),
    "mistral-window": TinyModel("Mistral", {"sliding_window": 9}),
    "qwen2": TinyModel("Qwen2"),
    "qwen2-window": TinyModel("Qwen2", {"use_sliding_window": True, "sliding_window": 7, "max_window_layers": 1}),
    "qwen3": TinyModel("Qwen3", {"head_dim": 16}),
    "qwen3-biased-tied": TinyModel("Qwen3", {"head_dim": 16, "attention_bias": True, "tie_word_embeddings": True}),
    "rope-theta": TinyModel("Llama", {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0}}),
    "rope-linear": TinyModel("Llama", {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 1e4}}),
    "rope-dynamic": TinyModel("Llama", {"rope_parameters": {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 1e4}}),
    "rope-llama3": TinyModel(
        "Llama",
        {
            "rope_parameters": {
                "rope_type": "llama3",
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 32,
                "rope_theta": 5e5,
            }
        },
    ),
    "rope-yarn": TinyModel(
        "Qwen2",
        {
            "rope_parameters": {
                "rope_type": "yarn",
                "factor": 4.0,
                "original_max_position_embeddings": 32,
                "rope_theta": 1e4,
            }
        },
    ),
    "rope-yarn-mscale": TinyModel(
        "Llama",
        {
            "rope_parameters": {
                "rope_type": "yarn",
                "factor": 4.0,
                "original_max_position_embeddings": 32,
                "beta_fast": 16.0,
                "beta_slow": 2.0,
                "mscale": 0.8,
                "mscale_all_dim": 0.5,
                "truncate": False,
                "rope_theta": 1e4,
            }
        },
    ),
}


def make_tiny_model(name: str, folder: Path, *, dtype: torch.dtype = torch.float32, **save: Any) -> PreTrainedModel:
    """Write the tiny model of this name to `folder`; the oracle that comes back is float32 over the saved weights.

    `save` goes to `save_pretrained`, e.g. max_shard_size="20KB" for a sharded checkpoint.
    """
    recipe = TINY_MODELS[name]
    config = getattr(transformers, f"{recipe.family}Config")(**(_SHAPE | recipe.extra))
    torch.manual_seed(0)
    model: PreTrainedModel = getattr(transformers, f"{recipe.family}ForCausalLM")(config)
    for parameter_name, parameter in model.named_parameters():
        if parameter_name.endswith(("bias", "norm.weight", "layernorm.weight")):
            torch.nn.init.normal_(parameter, mean=float(not parameter_name.endswith("bias")), std=0.2)
    model.to(dtype).save_pretrained(folder, **save)
    return model.float().eval()
