"""What a model is, read from its config.json: Llama 2 and 3, Mistral, Qwen2 and 2.5, Qwen3."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from portico.errors import CheckpointError
from portico.model.config_values import Values
from portico.model.rope_config import RopeConfig, read_rope

log = logging.getLogger(__name__)

DTYPES = ("float32", "bfloat16", "float16")
MOST_LAYERS = 10_000


@dataclass(frozen=True, slots=True)
class Family:
    """Where the architectures differ, in what config.json leaves unsaid."""

    qkv_bias: bool | None
    """None: attention_bias says it, for the output projection too."""
    mlp_bias_key: bool
    qk_norm: bool
    head_dim: int | None
    """When config.json has none; None: hidden_size / num_attention_heads."""
    num_kv_heads: int | None
    """When config.json has none; None: as many as query heads."""
    max_position_embeddings: int
    window_on_every_layer: bool


FAMILIES: Mapping[str, Family] = {
    "LlamaForCausalLM": Family(None, True, False, None, None, 2048, False),
    "MistralForCausalLM": Family(False, False, False, None, 8, 131072, True),
    "Qwen2ForCausalLM": Family(True, False, False, None, 32, 32768, False),
    "Qwen3ForCausalLM": Family(None, False, True, 128, 32, 32768, False),
}

_BY_MODEL_TYPE = {"llama": "LlamaForCausalLM", "mistral": "MistralForCausalLM"} | {
    f"qwen{n}": f"Qwen{n}ForCausalLM" for n in (2, 3)
}

_HARMLESS = frozenset(
    "_attn_implementation _attn_implementation_autoset _name_or_path architectures attention_dropout auto_map "
    "bad_words_ids begin_suppress_tokens bos_token_id chunk_size_feed_forward classifier_dropout custom_pipelines "
    "decoder_start_token_id dtype eos_token_id finetuning_task id2label initializer_range is_decoder "
    "is_encoder_decoder label2id language max_length max_sequence_length model_type name output_attentions "
    "output_hidden_states pad_token_id prefix pretraining_tp problem_type return_dict sep_token_id "
    "task_specific_params tokenizer_class torch_dtype torchscript transformers_version unsloth_fixed unsloth_version "
    "use_cache use_bfloat16 use_mrope".split()
)
"""Keys that change nothing in the forward pass."""

_UNSUPPORTED_WHEN_SET = (
    "quantization_config",
    "num_experts",
    "num_local_experts",
    "final_logit_softcapping",
    "attn_logit_softcapping",
    "attention_sink",
    "add_cross_attention",
)


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """One decoder: sizes, and the switches by which the families differ."""

    architecture: str
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    rms_norm_eps: float
    max_position_embeddings: int
    rope: RopeConfig
    windows: tuple[int | None, ...]
    """For each layer the number of last positions (its own among them) that a position sees; None: all."""
    qkv_bias: bool
    o_bias: bool
    mlp_bias: bool
    qk_norm: bool
    tie_word_embeddings: bool
    dtype: str
    """The dtype that config.json names: float32, bfloat16 or float16."""

    @property
    def max_model_len(self) -> int:
        """Tokens that the positions are made for, the stretch of a rope scaling included."""
        return self.rope.stretched_length(self.max_position_embeddings)

    @property
    def default_model_len(self) -> int:
        """The length to run with unless more is asked for.

        Dynamic NTK starts unstretched, see `portico.model.rope`.
        """
        return self.max_position_embeddings if self.rope.type == "dynamic" else self.max_model_len


def read_config(folder: Path) -> ModelConfig:
    """The model in this folder; raises CheckpointError for what is missing, malformed or not supported."""
    file = folder / "config.json"
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{folder} has no config.json; give a folder in Hugging Face format.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{file} cannot be read: {error}.") from error
    if not isinstance(raw, dict):
        raise CheckpointError(f"{file} is not a JSON object.")
    try:
        return parse_config(raw, str(file))
    except (
        TypeError,
        AttributeError,
        ValueError,
        OverflowError,
    ) as error:  # a list where a word is meant, and the like
        raise CheckpointError(f"{file} has a value of the wrong kind: {error}.") from error


def parse_config(raw: Mapping[str, Any], source: str = "config.json") -> ModelConfig:
    """The model that the parsed config.json describes; `source` names it in errors."""
    values = Values(raw, source)
    architecture = _architecture(values)
    family = FAMILIES[architecture]
    _refuse_unsupported(values)

    heads = values.integer("num_attention_heads")
    hidden = values.integer("hidden_size")
    kv_heads = values.integer("num_key_value_heads", family.num_kv_heads or heads)
    if heads % kv_heads:
        raise values.error("num_key_value_heads", kv_heads, f"a divisor of num_attention_heads, {heads}")
    head_dim = values.integer("head_dim", family.head_dim or hidden // heads)
    if head_dim % 2:
        raise values.error("head_dim", head_dim, "even")
    layers = values.integer("num_hidden_layers")
    if layers > MOST_LAYERS:
        raise values.error("num_hidden_layers", layers, f"at most {MOST_LAYERS}")
    max_positions = values.integer("max_position_embeddings", family.max_position_embeddings)
    attention_bias = values.flag("attention_bias") if family.qkv_bias is None else family.qkv_bias
    config = ModelConfig(
        architecture=architecture,
        vocab_size=values.integer("vocab_size"),
        hidden_size=hidden,
        intermediate_size=values.integer("intermediate_size"),
        num_layers=layers,
        num_heads=heads,
        num_kv_heads=kv_heads,
        head_dim=head_dim,
        rms_norm_eps=values.number("rms_norm_eps", 1e-6),
        max_position_embeddings=max_positions,
        rope=read_rope(values, max_positions),
        windows=_windows(values, family, layers),
        qkv_bias=attention_bias,
        o_bias=attention_bias and family.qkv_bias is None,
        mlp_bias=family.mlp_bias_key and values.flag("mlp_bias"),
        qk_norm=family.qk_norm,
        tie_word_embeddings=values.flag("tie_word_embeddings"),
        dtype=_dtype(values),
    )
    if unknown := sorted(values.unread() - _HARMLESS):
        log.warning("%s has keys that Portico does not know and does not use: %s.", source, ", ".join(unknown))
    return config


def _architecture(values: Values) -> str:
    names = values.get("architectures") or [_BY_MODEL_TYPE.get(values.get("model_type"), values.get("model_type"))]
    for name in names:
        if name in FAMILIES:
            return str(name)
    raise CheckpointError(
        f"{values.source}: the architecture {', '.join(map(str, names))} is not supported; "
        f"Portico runs {', '.join(FAMILIES)}."
    )


def _refuse_unsupported(values: Values) -> None:
    for key in _UNSUPPORTED_WHEN_SET:
        if values.get(key):
            raise CheckpointError(
                f"{values.source}: {key} is set, which Portico does not support; "
                f"it runs unquantised, dense {', '.join(FAMILIES)}."
            )
    activation = values.get("hidden_act", "silu")
    if activation not in ("silu", "swish"):
        raise values.error("hidden_act", activation, "silu, the one activation that Portico supports")


def _windows(values: Values, family: Family, layers: int) -> tuple[int | None, ...]:
    """Each layer's sliding window, by the rules of transformers' MistralConfig and Qwen2Config."""
    if family.window_on_every_layer:
        window = values.optional_integer("sliding_window", 4096)
        kind = "full_attention" if window is None else "sliding_attention"
        kinds = values.get("layer_types") or [kind] * layers
        if set(kinds) != {kind}:
            raise values.error("layer_types", kinds, f"{kind} for every layer, as sliding_window {window} makes it")
        return (window,) * layers
    if "use_sliding_window" not in values and "layer_types" not in values:
        return (None,) * layers
    window = values.optional_integer("sliding_window", 4096) if values.flag("use_sliding_window") else None
    first = values.integer("max_window_layers", 28, least=0)
    kinds = values.get("layer_types") or [
        "sliding_attention" if window is not None and i >= first else "full_attention" for i in range(layers)
    ]
    if len(kinds) != layers or not set(kinds) <= {"full_attention", "sliding_attention"}:
        raise values.error("layer_types", kinds, f"{layers} times full_attention or sliding_attention")
    if window is None and "sliding_attention" in kinds:
        raise values.error("layer_types", kinds, "full_attention everywhere while use_sliding_window is off")
    return tuple(window if kind == "sliding_attention" else None for kind in kinds)


def _dtype(values: Values) -> str:
    dtype = values.get("dtype") or values.get("torch_dtype") or "float32"
    if dtype not in DTYPES:
        raise values.error("dtype", dtype, f"one of {', '.join(DTYPES)}")
    return str(dtype)
