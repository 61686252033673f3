"""Which model is served, under which names, and how its text is made and read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from portico.config.option import option
from portico.config.values import (
    one_of,
    only,
    parse_dtype,
    parse_integer,
    parse_numbers,
    parse_positive,
    parse_size,
    translated,
)

MODEL = "model"
TEXT = "prompts and answers"
DTYPES = ("auto", "float32", "bfloat16", "float16")
QUANTIZATIONS = ("auto", "none", "int8", "int4")
PACKED = (
    "awq awq_marlin bitsandbytes compressed-tensors experts_int8 fp8 gguf gptq gptq_marlin marlin modelopt moe_wna16 "
    "mxfp4 quark torchao q0f16 q0f32 q3f16_1 q4f16_0 q4f16_1 q4f32_1 q4f16_2 q4f16_ft q4f16_autoawq"
).split()
"""Formats that other servers know by these words."""
NO_DEFAULTS = ("vllm", "lmdeploy", "none")


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """The model and its text side."""

    model: str | None = option(
        None, "the same as MODEL: a folder, a name under dist/ or --models-dir, HF://owner/name, or a hub id",
        group=MODEL, metavar="MODEL", aliases=("--base-model", "--model-path"),
    )  # fmt: skip
    models_dir: str = option(
        "models", "folder in which names of models are looked for, besides dist/", group=MODEL, metavar="DIR"
    )
    served_model_name: tuple[str, ...] = option(
        (), "name under which clients ask for the model; several make aliases (default: MODEL as given)",
        group=MODEL, repeated=True, metavar="NAME", aliases=("--model-name",), single=("--model-name",),
    )  # fmt: skip
    revision: str | None = option(None, "branch, tag or commit of a model on the hub", group=MODEL, metavar="REV")
    download_dir: str | None = option(
        None, "where models from the hub are kept (default: the hub library's cache)", group=MODEL, metavar="DIR"
    )
    hf_token: str | None = option(
        None, "token for gated and private models of the hub (default: HF_TOKEN, or who is logged in)",
        group=MODEL, metavar="TOKEN",
    )  # fmt: skip
    max_model_len: int | None = option(
        None, "tokens of prompt and answer together (default: as the model's config.json says)",
        group=MODEL, parse=parse_positive, metavar="TOKENS", aliases=("--session-len", "--context-window-size"),
    )  # fmt: skip
    dtype: str = option(
        "auto", "number format to compute in; auto is the checkpoint's own; half is float16, float is float32",
        group=MODEL, parse=parse_dtype, choices=DTYPES,
    )  # fmt: skip
    quantization: str = option(
        "auto", "keep weights in 8 or 4 bits: less memory, faster decoding, slightly different answers; auto is none "
        "unless the memory cannot hold that, then int8, then int4",
        group=MODEL, aliases=("-q",), metavar="{auto,none,int8,int4}",
        parse=only(QUANTIZATIONS, "checkpoints packed in that way cannot be read yet; give the unpacked one and "
                   "int8 or int4", PACKED),
        words=(("--load-in-8bit", "int8"), ("--load-in-4bit", "int4")),
    )  # fmt: skip
    weights_cache: str = option(
        "auto", "where quantised weights are kept for a quick next start: a folder, auto (PORTICO_CACHE_DIR, else "
        "portico in the user's cache directory), or off",
        group=MODEL, metavar="DIR",
    )  # fmt: skip
    weights_cache_size: int | None = option(
        None, "how much they may take there, as 512MiB or 4GiB; what was used longest ago is removed (default: 20GiB)",
        group=MODEL, parse=parse_size, metavar="SIZE",
    )  # fmt: skip
    tokenizer: str | None = option(
        None, "folder or hub id of the tokenizer and chat template (default: the model's)",
        group=TEXT, metavar="WHERE", aliases=("--tokenizer-path",),
    )  # fmt: skip
    tokenizer_mode: str = option(
        "auto", "auto: tokenizer.json, else what there is; slow: rather tokenizer.model or *.tiktoken",
        group=TEXT, parse=translated({"hf": "auto"}, one_of("auto", "slow")), metavar="{auto,slow}",
    )  # fmt: skip
    tokenizer_revision: str | None = option(
        None, "branch, tag or commit of the tokenizer on the hub (default: --revision)", group=TEXT, metavar="REV"
    )
    chat_template: str | None = option(
        None, "chat template in place of the model's: a file, Jinja itself, or a built-in name (alpaca, chatml, "
        "chinese-alpaca-2, deepseek, gemma, llama-2, llama-3, mistral, phi-3, vicuna, zephyr)",
        group=TEXT, metavar="TEMPLATE",
    )  # fmt: skip
    tool_call_parser: str = option(
        "auto", "how the model writes tool calls: a name (hermes, llama3_json, mistral, …), auto (as its chat template "
        "says), none, or an own parser as module:ATTRIBUTE or FILE.py:ATTRIBUTE",
        group=TEXT, metavar="NAME",
    )  # fmt: skip
    reasoning_parser: str = option(
        "auto", "how the model marks its thinking: a name (qwen3, deepseek_r1, granite, …), auto (as its chat template "
        "says), none, or an own parser as module:ATTRIBUTE or FILE.py:ATTRIBUTE",
        group=TEXT, metavar="NAME",
    )  # fmt: skip
    generation_config: str = option(
        "auto", "where defaults of sampling come from: auto (the model's generation_config.json), the folder of "
        f"another, or {', '.join(NO_DEFAULTS)} for none",
        group=TEXT, metavar="WHERE",
    )  # fmt: skip
    override_generation_config: Mapping[str, float] | None = option(
        None, 'further defaults of sampling, which come before those, as \'{"temperature": 0.5}\'',
        group=TEXT, parse=parse_numbers, metavar="JSON",
    )  # fmt: skip
    seed: int | None = option(
        None, "seed from which requests without one get theirs, in turn (default: chance)",
        group=TEXT, parse=parse_integer, metavar="N", aliases=("--random-seed",),
    )  # fmt: skip
