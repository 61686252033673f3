"""The flags of the five servers: each works, or says that it has no effect, or is refused in one sentence."""

from __future__ import annotations

import shlex

import pytest

from portico.cli.serve import read_options
from portico.config.serve import Settled
from portico.errors import ConfigError

MLC = shlex.split(
    "./dist/Llama-2-7b-chat-hf-q4f16_1-MLC/ --model-lib lib.so --device cuda:0 --mode server "
    '--speculative-mode disable --overrides "max_num_sequence=32;max_total_seq_length=4096;tensor_parallel_shards=1" '
    "--host 127.0.0.1 --port 8080 --allow-credentials --prefix-cache-mode radix --prefill-mode hybrid "
    """--allowed-origins '["*"]' --allowed-methods '["*"]' --allowed-headers '["*"]'"""
)
MLC_CHAT = "--model vicuna-v1-7b --lib-path dist/lib.so --device metal --host 127.0.0.1 --port 8000".split()
ALPACA = (
    "--model /path/to/base_model --tokenizer /path/to/base_model --tokenizer-mode slow --tensor-parallel-size 1 "
    "--served-model-name chinese-llama-alpaca-2 --host localhost --port 8000"
).split()
LMDEPLOY = (
    "internlm/internlm2_5-7b-chat --server-name 0.0.0.0 --server-port 23333 --tp 1 --session-len 8192 "
    "--cache-max-entry-count 0.5 --backend turbomind --max-batch-size 64 --model-name internlm --log-level ERROR "
    "--api-keys one two --quant-policy 0 --model-format hf --cache-block-seq-len 64 --enable-prefix-caching "
    "--max-prefill-token-num 4096 --rope-scaling-factor 0.0 --num-tokens-per-iter 0 --max-prefill-iters 1 --async 1 "
    "--communicator nccl --vision-max-batch-size 1 --allow-origins * --allow-methods * --allow-headers * "
    "--allow-credentials --max-log-len 10 --dtype auto --eager-mode --trust-remote-code --revision main "
    "--download-dir models --device cuda --chat-template chatml --dp 1 --ep 1 --disable-fastapi-docs"
).split()
VLLM = (
    "NousResearch/Meta-Llama-3-8B-Instruct --dtype half --api-key token-abc123 --chat-template chatml "
    "--max_model_len 4096 --gpu-memory-utilization 0.9 --enforce-eager --trust-remote-code --swap-space 4 --seed 7 "
    "--max-num-seqs 16 --max-num-batched-tokens 2048 --disable-log-requests --disable-log-stats "
    "--uvicorn-log-level info --response-role assistant --root-path /llm --max-log-len 100 "
    "--enable-prefix-caching --enable-chunked-prefill "
    "-tp 1 -pp 1 --load-format safetensors --block-size 32 --max-logprobs 5 --kv-cache-dtype auto "
    "--exclude-tools-when-tool-choice-none --shutdown-timeout 3 --stream-interval 1 --attention-backend FLASH_ATTN "
    "--guided-decoding-backend outlines --use-v2-block-manager --enable-auto-tool-choice --tool-call-parser hermes"
).split()


def read(*arguments: str) -> Settled:
    return read_options(arguments)


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        read(*arguments)
    assert ended.value.code == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    return said[0]


def test_mlc() -> None:
    settled = read(*MLC)
    options = settled.options
    assert options.model.model == "./dist/Llama-2-7b-chat-hf-q4f16_1-MLC/"
    assert (options.compute.device, options.compute.max_num_seqs, options.http.port) == ("cuda:0", 32, 8080)
    cors = options.http.cors()
    assert cors is not None
    assert (cors.origins, cors.methods, cors.headers, cors.credentials) == (("*",), ("*",), ("*",), True)
    assert any("--model-lib has no effect here: no compiled library is needed" in s for s in settled.without_effect)


def test_mlc_chat() -> None:
    settled = read(*MLC_CHAT)
    assert (settled.options.model.model, settled.options.compute.device) == ("vicuna-v1-7b", "mps")
    assert settled.without_effect[0].startswith("--lib-path has no effect here: no compiled library")


def test_alpaca() -> None:
    options = read(*ALPACA).options
    assert (options.model.model, options.model.tokenizer_mode, options.http.host) == (
        "/path/to/base_model", "slow", "localhost",
    )  # fmt: skip
    assert options.model.served_model_name == ("chinese-llama-alpaca-2",)


def test_lmdeploy() -> None:
    settled = read(*LMDEPLOY)
    options = settled.options
    assert (options.http.host, options.http.port, options.http.api_key) == ("0.0.0.0", 23333, ("one", "two"))
    assert (options.http.log_level, options.http.docs) == ("error", False)
    engine = options.engine("m")
    assert (engine.max_model_len, engine.max_num_seqs, engine.kv_cache_share) == (8192, 64, 0.5)
    assert (engine.block_size, engine.max_num_batched_tokens, engine.device) == (64, 4096, "cuda")
    assert (options.model.revision, options.model.download_dir) == ("main", "models")
    named = {sentence.split()[0] for sentence in settled.without_effect}
    assert {"--backend", "--eager-mode", "--trust-remote-code", "--async"} <= named


def test_vllm() -> None:
    settled = read(*VLLM)
    options = settled.options
    engine = options.engine("m")
    assert (engine.dtype, engine.max_model_len, engine.memory_share, engine.max_num_seqs) == ("float16", 4096, 0.9, 16)
    assert (options.model.seed, options.http.root_path, options.http.log_requests) == (7, "/llm", False)
    assert (options.http.uvicorn_log_level, options.http.max_logprobs, engine.block_size) == ("info", 5, 32)
    assert any(
        sentence.startswith("--swap-space has no effect here: a sequence") for sentence in settled.without_effect
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--device", "vulkan"], "--device is 'vulkan': Portico has no kernels for it: use cuda"),
        (["--device", "opencl"], "use cuda for NVIDIA, rocm for AMD and metal for Apple GPUs"),
        (["--tp", "2"], "--tp is '2': a model runs on one device; more than 1 is not there yet"),
        (["--overrides", "tensor_parallel_shards=2"], "more than 1 is not there yet"),
        (["--speculative-mode", "eagle"], "speculative decoding is not there yet"),
        (["--speculative-mode", "magic"], "one of disable, small_draft, eagle, medusa"),
        (["--additional-models", "a", "b,lib.so"], "several models, and drafts"),
        (["--no-enable-chunked-prefill"], "prompts are computed in chunks, always"),
        (["--quantization", "awq"], "packed in that way cannot be read yet"),
        (["-q", "int3"], "one of auto, none, int8, int4, awq"),
        (["--override-generation-config", "[1]"], "it must be a JSON object of numbers"),
        (["--mode", "fast"], "one of local, interactive, server"),
        (["--enable-lora"], "LoRA"),
        (["--log-level", "LOUD"], "one of debug, info, warning, error, critical"),
        (["--cache-max-entry-count", "1.5"], "a share above 0 and at most 1"),
        (["--max-modl-len", "3"], "unknown argument --max-modl-len; did you mean --max-model-len?"),
        (["--no_such_thing_at_all"], "unknown argument --no-such-thing-at-all"),
        (["a", "--model", "b"], "the model is a and --model says another"),
        (["a", "b"], "unknown argument b"),
        (["--api-key"], "expected one argument"),
    ],
)  # fmt: skip
def test_refusals(capsys: pytest.CaptureFixture[str], arguments: list[str], words: str) -> None:
    assert words in refusal(capsys, *arguments)


def test_flags_of_vllm_that_change_answers() -> None:
    flags = "--response-role bot --enable-force-include-usage --return-tokens-as-token-ids"
    more = "--enable-server-load-tracking --num-gpu-blocks-override 10 --block-size 32 --enable-abort-handling"
    settled = read(*flags.split(), *more.split(), "--override-generation-config", '{"temperature": 0.5}')
    http = settled.options.http
    assert (http.response_role, http.enable_force_include_usage, http.return_tokens_as_token_ids) == ("bot", True, True)
    assert http.enable_abort_handling
    assert settled.options.engine("m").kv_cache_tokens == 320
    assert settled.options.text().generation_overrides == {"temperature": 0.5}
    assert "--enable-server-load-tracking has no effect here" in settled.without_effect[0]
    with pytest.raises(ConfigError, match="say the same"):
        read("--num-gpu-blocks-override", "10", "--kv-cache-tokens", "160").options.engine("m")


def test_a_bad_variable_is_a_refusal_too(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTICO_PORT", "http")
    assert "PORTICO_PORT is 'http'" in refusal(capsys)


def test_words_for_values() -> None:
    options = read("--only_cpu", "--load_in_8bit", "--base_model", "m", "--prefix-cache-mode", "disable").options
    assert (options.compute.device, options.model.quantization, options.model.model) == ("cpu", "int8", "m")
    assert options.compute.enable_prefix_caching is False


def test_the_model_may_stand_behind_a_flag_that_repeats() -> None:
    for before in ("--api-key k", "--allowed-origins *", "--model-name n", "--enable-prefix-caching", "--swap-space 4"):
        assert read(*before.split(), "MODEL").options.model.model == "MODEL"
    assert read("MODEL", "--served-model-name", "a", "b").options.model.served_model_name == ("a", "b")


def test_the_last_of_two_wins_and_lists_grow() -> None:
    options = read("--port", "1", "--server-port", "2", "--api-key", "a", "--api-keys", "b", "c").options
    assert (options.http.port, options.http.api_key) == (2, ("a", "b", "c"))
    assert read("--no-docs", "--docs").options.http.docs is True
    assert read("--allow-origins", "a,b", "--allowed-origins", '["c"]').options.http.allowed_origins == ("a", "b", "c")
