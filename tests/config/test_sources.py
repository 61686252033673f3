"""Flags, then the environment, then a file, then the way of starting; and errors that name the place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from portico.config.given import Given
from portico.config.serve import Settled, serve_options, settle_serve
from portico.errors import ConfigError


def settle(
    flags: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
    file: str | None = None,
    defaults: Mapping[str, str] | None = None,
) -> Settled:
    texts = {name: Given(f"--{name}", (text,)) for name, text in (flags or {}).items()}
    return settle_serve(texts, environ or {}, file, defaults)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return tmp_path / "portico.yaml"


def test_who_comes_first(written: Path) -> None:
    written.write_text("port: 3\nhost: file\nblock-size: 48\n")
    options = settle({"port": "1"}, {"PORTICO_PORT": "2", "PORTICO_HOST": "env"}, str(written), {"port": "4"}).options
    assert (options.http.port, options.http.host, options.compute.block_size) == (1, "env", 48)
    assert settle(defaults={"port": "23333"}).options.http.port == 23333
    assert settle(defaults={"compat": "lmdeploy"}).options.http.compat == "lmdeploy"


def test_the_environment() -> None:
    environ = {
        "PORTICO_API_KEY": "a b",
        "PORTICO_DTYPE": "half",
        "PORTICO_ALLOWED_ORIGINS": '["http://a", "http://b"]',
        "PORTICO_LOG_REQUESTS": "off",
        "UNRELATED": "x",
    }
    options = settle(environ=environ).options
    assert (options.http.api_key, options.model.dtype) == (("a", "b"), "float16")
    assert options.http.allowed_origins == ("http://a", "http://b")
    assert options.http.log_requests is False


@pytest.mark.parametrize(
    ("name", "value"), [("PORTICO_PORT", "http"), ("PORTICO_PORT", "tcp://10.0.0.1:80"), ("PORTICO_DTYPE", "int3")]
)
def test_a_bad_variable_is_named(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} is '{value}'.*must be"):
        settle(environ={name: value})


def test_a_file_of_another_server(written: Path) -> None:
    written.write_text(
        "# as for vLLM\nmodel: org/name\nserved-model-name: [a, b]\ntensor-parallel-size: 1\n"
        "disable_log_requests: true\ndtype: half\nenforce-eager: true\nallowed-origins: ['*']\n"
        "overrides: {max_num_sequence: 3}\n"
    )
    settled = settle(file=str(written))
    options = settled.options
    assert (options.model.model, options.model.served_model_name, options.model.dtype) == (
        "org/name", ("a", "b"), "float16",
    )  # fmt: skip
    assert options.http.log_requests is False
    assert options.http.allowed_origins == ("*",)
    assert options.compute.max_num_seqs == 3
    assert settled.without_effect == (
        f"{written}: enforce-eager has no effect here: there are no CUDA graphs to capture.",
    )


def test_flags_that_stand_for_values_in_a_file(written: Path) -> None:
    written.write_text("load_in_8bit: true\nonly_cpu: false\nprefix-cache-mode: disable\nno-docs: true\n")
    options = settle(file=str(written)).options
    assert (options.model.quantization, options.compute.device) == ("int8", "auto")
    assert (options.compute.enable_prefix_caching, options.http.docs) == (False, False)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prot: 1", "no option prot; did you mean port"),
        ("port: http", "port is 'http': it must be a port"),
        ("port: [1, 2]", "port is a list"),
        ("port:", "port has no value"),
        ("- port", "holds a list; a mapping"),
        ("a: b: c", "is not YAML"),
        ("max_model_len: 3\nsession_len: 4", "session_len says the same as max_model_len"),
        ("tensor_parallel_size: 2", "tensor_parallel_size is '2': a model runs on one device"),
        ("overrides: {no_such: 1}", "there is no key no_such"),
    ],
)
def test_what_a_file_cannot_say(written: Path, text: str, words: str) -> None:
    written.write_text(text)
    with pytest.raises(ConfigError) as caught:
        settle(file=str(written))
    assert words in str(caught.value)
    assert str(written) in str(caught.value)


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match=r"--config /no/such.yaml: No such file"):
        settle(file="/no/such.yaml")


def test_overrides_are_options() -> None:
    options = settle({"overrides": "max_num_sequence=32; max_total_seq_length=4096;prefill_chunk_size=512;"}).options
    assert (options.compute.max_num_seqs, options.compute.kv_cache_tokens) == (32, 4096)
    assert options.compute.max_num_batched_tokens == 512
    assert settle({"overrides": "prefix_cache_mode=disable"}).options.compute.enable_prefix_caching is False
    allowed = "tensor_parallel_shards=1;sliding_window_size=-1;spec_draft_length=0;opt=O2;context_window_size=2048"
    assert settle({"overrides": allowed}).options.model.max_model_len == 2048


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ("max_num_sequence", "'max_num_sequence' is not of the form key=value"),
        ("max_num_sequences=3", "there is no key max_num_sequences; did you mean max_num_sequence?"),
        ("max_num_sequence=0", "--overrides max_num_sequence is '0': it must be"),
        ("tensor_parallel_shards=2", "--overrides tensor_parallel_shards is '2': a model runs on one device"),
        ("sliding_window_size=512", "sliding_window_size is '512': the model's own"),
        ("max_num_sequence=1;max_num_sequence=2", "says the same"),
        ("gpu_memory_utilization=85", "share above 0 and at most 1"),
    ],
)
def test_overrides_that_cannot_be(overrides: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settle({"overrides": overrides})
    assert words in str(caught.value)


def test_an_override_and_its_option_contradict() -> None:
    with pytest.raises(ConfigError, match="--overrides max_num_sequence says the same as --max_num_seqs"):
        settle({"overrides": "max_num_sequence=3", "max_num_seqs": "4"})
    assert settle({"max_num_seqs": "4"}, {"PORTICO_OVERRIDES": "max_num_sequence=3"}).options.compute.max_num_seqs == 4


def test_two_measures_of_one_memory_contradict() -> None:
    with pytest.raises(ConfigError, match="--kv_cache_memory and --gpu_memory_utilization"):
        settle({"kv_cache_memory": "1G", "gpu_memory_utilization": "0.9"})
    told = settle({"gpu_memory_utilization": "0.9"}, {"PORTICO_KV_CACHE_MEMORY": "1G"}).options.engine("m")
    assert (told.memory_share, told.kv_cache_memory) == (0.9, None)


@pytest.mark.parametrize(
    ("mode", "sequences", "one_context", "longest"),
    [(None, 128, False, None), ("server", 128, False, None), ("local", 4, True, 8192), ("interactive", 1, True, None)],
)
def test_modes(mode: str | None, sequences: int, one_context: bool, longest: int | None) -> None:
    config = settle({} if mode is None else {"mode": mode}).options.engine("m")
    assert (config.max_num_seqs, config.one_context, config.longest_context) == (sequences, one_context, longest)
    chosen = settle({"max_num_seqs": "9"} | ({} if mode is None else {"mode": mode})).options.engine("m")
    assert chosen.max_num_seqs == 9


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_file_and_flags_read_alike(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    options = [o for o in serve_options() if not o.is_switch and not o.spec.repeated and o.name != "overrides"]
    option = data.draw(st.sampled_from(options))
    text = data.draw(st.sampled_from(["0", "1", "7", "0.5", "auto", "slow", "cpu", "none", "local", "x", "4GiB"]))
    path = tmp_path_factory.mktemp("file") / "o.yaml"
    path.write_text(yaml.safe_dump({option.name: text}))

    def outcome(**place: object) -> object:
        try:
            return settle(**place).options  # type: ignore[arg-type]
        except ConfigError as error:
            return str(error).partition(": ")[2].removeprefix(f"{option.name} is {text!r}: ")

    by_flag, by_file = outcome(flags={option.name: text}), outcome(file=str(path))
    assert by_flag == by_file
