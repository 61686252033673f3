"""Option declarations: sizes, environment, and the errors that name what is wrong."""

from __future__ import annotations

import pytest

from portico.config.options.compute import ComputeOptions
from portico.config.options.model import ModelOptions
from portico.config.serve import ServeOptions, serve_options
from portico.config.values import (
    parse_device,
    parse_dtype,
    parse_level,
    parse_list,
    parse_port,
    parse_positive,
    parse_seconds,
    parse_share,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "size"),
    [("1024", 1024), ("512MiB", 512 * 2**20), ("4G", 2**32), ("1.5gb", 3 * 2**29), ("2 KiB", 2048), ("7b", 7)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "many", "-1G", "4 parsecs", "1e9"])
def test_bad_sizes(text: str) -> None:
    with pytest.raises(ValueError, match="512MiB"):
        parse_size(text)


@pytest.mark.parametrize(
    ("parse", "text"), [(parse_positive, "0"), (parse_port, "65536"), (parse_seconds, "-1"), (parse_share, "1.1")]
)
def test_bad_numbers(parse: object, text: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        parse(text)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("text", "device"),
    [
        ("auto", "auto"), ("CPU", "cpu"), ("cpu:0", "cpu"), ("cuda", "cuda"), ("cuda:1", "cuda:1"), ("rocm", "cuda"),
        ("rocm:2", "cuda:2"), ("metal", "mps"), ("mps", "mps"), ("metal:0", "mps"), ("auto:0", "auto"),
    ],
)  # fmt: skip
def test_devices(text: str, device: str) -> None:
    assert parse_device(text) == device


@pytest.mark.parametrize(
    ("text", "words"),
    [("vulkan", "use cuda"), ("opencl:1", "rocm for AMD"), ("tpu", "must be auto"), ("cuda:x", "cuda:1"),
     ("metal:1", "no other device than 0")],
)  # fmt: skip
def test_other_devices_are_told_what_to_use(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_device(text)


def test_names_of_other_servers() -> None:
    assert [parse_dtype(text) for text in ("half", "float", "bf16", "Float16")] == [
        "float16", "float32", "bfloat16", "float16",
    ]  # fmt: skip
    assert [parse_level(text) for text in ("WARN", "INFO", "Fatal")] == ["warning", "info", "critical"]


@pytest.mark.parametrize(("text", "items"), [('["a", "b,c"]', ["a", "b,c"]), ("a, b", ["a", "b"]), ("*", ["*"])])
def test_lists(text: str, items: list[str]) -> None:
    assert parse_list(text) == items


@pytest.mark.parametrize("text", ['["a"', "[1]", '[["a"]]'])
def test_bad_lists(text: str) -> None:
    with pytest.raises(ValueError, match="JSON list"):
        parse_list(text)


def test_flags_in_every_spelling() -> None:
    options = {option.name: option for option in serve_options()}
    assert options["max_model_len"].flags == ("--max-model-len", "--session-len", "--context-window-size")
    assert options["docs"].off_flags == ("--no-docs", "--disable-fastapi-docs")


def test_no_flag_means_two_things() -> None:
    flags = [
        flag
        for option in serve_options()
        for flag in (*option.flags, *option.off_flags, *dict(option.spec.words), *dict(option.spec.valued))
    ]
    assert len(flags) == len(set(flags))


def test_each_option_says_something_and_has_its_own_default() -> None:
    options = ServeOptions()
    parts = (options.http, options.sessions, options.model, options.compute)
    for option in serve_options():
        assert option.spec.help
        if not option.spec.limited and option.spec.idle is None:
            assert any(getattr(part, option.name, ...) == option.default for part in parts)


def test_the_engine_is_told_everything() -> None:
    options = ServeOptions(
        model=ModelOptions(dtype="bfloat16", max_model_len=99),
        compute=ComputeOptions(threads=3, kernels="torch", kv_cache_memory=5, kv_cache_tokens=6, block_size=7),
    )
    config = options.engine("folder")
    assert (config.dtype, config.threads, config.kernels) == ("bfloat16", 3, "torch")
    assert (config.model_path, config.max_model_len, config.kv_cache_memory) == ("folder", 99, 5)
    assert (config.kv_cache_tokens, config.block_size, config.max_num_seqs) == (6, 7, 128)
