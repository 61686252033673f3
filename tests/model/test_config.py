"""Reading config.json: each family's defaults, windows and rotary spellings, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from portico.errors import CheckpointError
from portico.model.config import ModelConfig, parse_config

BASE: dict[str, Any] = {
    "vocab_size": 100,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}


def parse(family: str = "Llama", **changes: Any) -> ModelConfig:
    return parse_config(BASE | {"architectures": [f"{family}ForCausalLM"]} | changes)


def test_biases_and_norms_by_family() -> None:
    def switches(config: ModelConfig) -> tuple[bool, bool, bool, bool]:
        return config.qkv_bias, config.o_bias, config.mlp_bias, config.qk_norm

    assert switches(parse()) == (False, False, False, False)
    assert switches(parse(attention_bias=True, mlp_bias=True)) == (True, True, True, False)
    assert switches(parse("Mistral")) == (False, False, False, False)
    assert switches(parse("Qwen2")) == (True, False, False, False)
    assert switches(parse("Qwen3")) == (False, False, False, True)
    assert switches(parse("Qwen3", attention_bias=True)) == (True, True, False, True)


def test_what_a_config_leaves_unsaid_is_the_familys() -> None:
    assert parse().head_dim == 8
    assert parse("Qwen3").head_dim == 128
    assert parse("Mistral").windows == (4096,) * 4
    assert parse_config(BASE | {"model_type": "qwen3"}).architecture == "Qwen3ForCausalLM"


@pytest.mark.parametrize(
    ("family", "changes", "windows"),
    [
        ("Llama", {}, (None,) * 4),
        ("Mistral", {"sliding_window": 8}, (8,) * 4),
        ("Mistral", {"sliding_window": None}, (None,) * 4),
        ("Qwen2", {"sliding_window": 8, "use_sliding_window": False}, (None,) * 4),
        ("Qwen2", {"sliding_window": 8, "use_sliding_window": True, "max_window_layers": 3}, (None, None, None, 8)),
        (
            "Qwen3",
            {
                "sliding_window": 8,
                "use_sliding_window": True,
                "layer_types": ["sliding_attention", "full_attention"] * 2,
            },
            (8, None, 8, None),
        ),
    ],
)
def test_windows(family: str, changes: dict[str, Any], windows: tuple[int | None, ...]) -> None:
    assert parse(family, **changes).windows == windows


def test_old_and_new_spelling_of_the_rotary_embedding_agree() -> None:
    llama3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 16}
    new = parse(rope_parameters={"rope_type": "llama3", "rope_theta": 500.0, **llama3})
    assert parse(rope_theta=500.0, rope_scaling={"rope_type": "llama3", **llama3}) == new
    assert parse(rope_scaling={"type": "linear", "factor": 2.0}).rope.type == "linear"


@pytest.mark.parametrize(
    ("rope", "longest", "default"),
    [
        ({"rope_type": "default"}, 64, 64),
        ({"rope_type": "linear", "factor": 4.0}, 256, 256),
        ({"rope_type": "dynamic", "factor": 4.0}, 256, 64),
        ({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}, 64, 64),
        ({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}, 256, 256),
    ],
)
def test_how_far_the_positions_reach(rope: dict[str, Any], longest: int, default: int) -> None:
    config = parse(rope_parameters=rope)
    assert (config.max_model_len, config.default_model_len) == (longest, default)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rope_scaling": {"rope_type": "longrope", "factor": 2.0}}, "longrope.*llama3"),
        ({"rope_scaling": {"rope_type": "linear", "factor": 2.0, "mystery": 1}}, "mystery"),
        ({"rope_scaling": {"rope_type": "linear"}}, "factor"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor"),
        ({"num_local_experts": 8}, "num_local_experts"),
        ({"head_dim": 7}, "head_dim"),
        ({"torch_dtype": "float64"}, "float64"),
        ({"rms_norm_eps": 0}, "rms_norm_eps"),
        ({"tie_word_embeddings": "yes"}, "tie_word_embeddings"),
    ],
)
def test_what_cannot_be_run_is_refused_by_name(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(CheckpointError, match=words):
        parse(**changes)


def test_layer_types_that_contradict_the_window_are_refused() -> None:
    with pytest.raises(CheckpointError, match="layer_types"):
        parse("Mistral", sliding_window=8, layer_types=["full_attention"] * 4)
    with pytest.raises(CheckpointError, match="layer_types"):
        parse("Qwen2", layer_types=["sliding_attention"] * 4)


def test_unknown_keys_are_said_aloud(caplog: pytest.LogCaptureFixture) -> None:
    parse(pretraining_tp=1, novel_feature=3)
    assert "novel_feature" in caplog.text
    assert "pretraining_tp" not in caplog.text
