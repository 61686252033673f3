"""Option declarations: sizes, environment, and the errors that name what is wrong."""

from __future__ import annotations

import pytest

from portico.config.option import from_environment, parse_port, parse_positive, parse_seconds, parse_size
from portico.config.serve import ServeOptions
from portico.errors import ConfigError


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


@pytest.mark.parametrize(("parse", "text"), [(parse_positive, "0"), (parse_port, "65536"), (parse_seconds, "-1")])
def test_bad_numbers(parse: object, text: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        parse(text)  # type: ignore[operator]


def test_environment_sets_options() -> None:
    environ = {"PORTICO_PORT": "9000", "PORTICO_API_KEY": "a b", "PORTICO_DTYPE": "float32", "UNRELATED": "x"}
    assert from_environment(ServeOptions, environ) == {"port": 9000, "api_key": ("a", "b"), "dtype": "float32"}


@pytest.mark.parametrize(("name", "value"), [("PORTICO_PORT", "http"), ("PORTICO_DTYPE", "int3")])
def test_a_bad_variable_is_named(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} is '{value}'.*must be"):
        from_environment(ServeOptions, {name: value})


def test_the_engine_is_told_everything() -> None:
    options = ServeOptions(dtype="bfloat16", threads=3, kernels="torch", max_model_len=99, kv_cache_memory=5)
    config = options.engine("folder")
    assert (config.dtype, config.threads, config.kernels) == ("bfloat16", 3, "torch")
    assert (config.model_path, config.max_model_len, config.kv_cache_memory) == ("folder", 99, 5)
