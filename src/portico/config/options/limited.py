"""Options of the other servers of which Portico has a part: other values are refused in a sentence, not passed over."""

from __future__ import annotations

from collections.abc import Sequence

from portico.config.option import Option, OptionSpec
from portico.config.values import only, parse_switch, translated

GROUP = "only in part"


def _switch(name: str, refusal: str, *aliases: str) -> Option:
    """A switch that cannot be turned on."""

    def parse(text: str) -> bool:
        if parse_switch(text):
            raise ValueError(refusal)
        return False

    return Option(name, False, OptionSpec(refusal, GROUP, parse, aliases=aliases, limited=True))


def _always(name: str, refusal: str, *aliases: str) -> Option:
    """A switch that cannot be turned off."""

    def parse(text: str) -> bool:
        if not parse_switch(text):
            raise ValueError(refusal)
        return True

    return Option(name, True, OptionSpec(refusal, GROUP, parse, aliases=aliases, limited=True))


def _valued(
    name: str,
    there: Sequence[str],
    refusal: str,
    *aliases: str,
    known: Sequence[str] = (),
    words: dict[str, str] | None = None,
    several: bool = False,
) -> Option:
    """An option that takes the values that are `there`; of several ones none is."""
    parse = translated(words or {}, only(there, refusal, known))
    metavar = f"{{{','.join(there)}}}" if there else "VALUE"
    return Option(
        name, None, OptionSpec(refusal, GROUP, parse, metavar, aliases=aliases, repeated=several, limited=True)
    )


_PARALLEL = "a model runs on one device; more than 1 is not there yet"
_ADAPTERS = "adapters (LoRA) are not there yet; merge them into the checkpoint"
_SPECULATION = "speculative decoding is not there yet"
_WINDOW = "the model's own attention window is used; changing it is not there yet"
_ROPE = "the rotary scaling of the model's config.json is used; write it there, or raise --max-model-len"
_POOLING = "vectors are pooled as modules.json and 1_Pooling in the model's folder say; write it there"
_SPECULATIVE = ("small_draft", "eagle", "medusa")

LIMITED: tuple[Option, ...] = (
    _valued("tensor_parallel_size", ("1",), _PARALLEL, "--tp", "-tp", "--tensor-parallel-shards"),
    _valued("pipeline_parallel_size", ("1",), _PARALLEL, "-pp", "--pp"),
    _valued("data_parallel_size", ("1",), _PARALLEL, "-dp", "--dp"),
    _valued("context_parallel_size", ("1",), _PARALLEL, "--cp"),
    _valued("expert_parallel_size", ("1",), _PARALLEL, "--ep"),
    _valued("nnodes", ("1",), _PARALLEL),
    _valued("node_rank", ("0",), _PARALLEL),
    _switch("enable_expert_parallel", _PARALLEL),
    _valued("additional_models", (), "several models, and drafts for speculative decoding, are not there yet",
            several=True),
    _valued("embedding_model", (), "a second model is not there yet; /v1/embeddings asks the served one"),
    _valued("speculative_mode", ("disable",), _SPECULATION, known=_SPECULATIVE),
    _valued("speculative_model", (), _SPECULATION, "--speculative-draft-model"),
    _valued("speculative_algorithm", (), _SPECULATION),
    _valued("speculative_config", (), _SPECULATION),
    _valued("num_speculative_tokens", ("0",), _SPECULATION, "--speculative-num-draft-tokens"),
    _valued("spec_draft_length", ("0",), _SPECULATION),
    _valued("spec_tree_width", ("1",), _SPECULATION),
    _switch("enable_lora", _ADAPTERS),
    _valued("lora_modules", (), _ADAPTERS, "--adapters", "--lora-model", several=True),
    _switch("enable_prompt_adapter", _ADAPTERS),
    _valued("prompt_adapters", (), _ADAPTERS, several=True),
    _always("enable_chunked_prefill", "prompts are computed in chunks, always; --max-num-batched-tokens says of what "
            "size"),
    _valued("model_format", ("auto", "hf"), "checkpoints packed in that way cannot be read yet; give the unpacked one "
            "and --quantization", known=("awq", "gptq", "fp8", "mxfp4", "compressed-tensors", "llama")),
    _valued("load_format", ("auto", "safetensors"), "weights are read from safetensors",
            known=("pt", "npcache", "dummy", "tensorizer", "sharded_state", "gguf", "bitsandbytes", "mistral",
                   "runai_streamer", "fastsafetensors")),
    _valued("config_format", ("auto", "hf"), "the configuration is read from config.json", known=("mistral",)),
    _valued("sliding_window_size", ("-1",), _WINDOW),
    _valued("attention_sink_size", ("-1", "0"), _WINDOW),
    _switch("disable_sliding_window", _WINDOW),
    _valued("rope_scaling", (), _ROPE),
    _valued("rope_theta", (), _ROPE),
    _valued("rope_scaling_factor", ("0", "0.0"), _ROPE),
    _valued("hf_overrides", (), "config.json is taken as it is; edit a copy of it"),
    _valued("task", ("auto", "generate"), "a model that generates is served, and answers /v1/embeddings too",
            known=("embed", "embedding", "classify", "score", "reward", "transcription", "draft")),
    _valued("runner", ("auto", "generate"), "a model that generates is served, and answers /v1/embeddings too",
            known=("pooling", "draft")),
    _valued("scheduling_policy", ("fcfs", "priority"), "requests of one API key run by their 'priority', and in the "
            "order they come where it is the same; keys take turns"),
    _valued("cpu_offload_gb", ("0", "0.0"), "all weights are on the device; --quantization makes them smaller"),
    _valued("max_concurrent_requests", (), "give --max-num-seqs for those that run, --max-queue for those that wait"),
    _valued("num_tokens_per_iter", ("0",), "give --max-num-batched-tokens"),
    _valued("proxy_url", (), "a proxy that spreads requests over servers is not there yet"),
    _valued("role", ("hybrid",), "prompts and answers are computed in one place", known=("prefill", "decode")),
    _switch("allow_terminate_by_client", "stopping the server by a request is not there yet"),
    _switch("enable_sleep_mode", "putting the engine to sleep is not there yet"),
    _switch("skip_tokenizer_init", "the tokenizer is needed for all that the server does"),
    _valued("middleware", (), "own middleware is not there yet", several=True),
    _valued("tool_parser_plugin", (), "give --tool-call-parser FILE.py:ATTRIBUTE"),
    _valued("chat_template_content_format", ("auto",), "it is found out from the template", known=("string", "openai")),
    _valued("kv_transfer_config", (), "keys and values stay in one engine"),
    _valued("uds", (), "the server listens at a TCP port; a socket file is not there yet"),
    _valued("gpus", ("0",), "give --device cuda:N"),
    _valued("api_server_count", ("1",), "one process answers; more are not there yet"),
    _switch("headless", "the server and its engine start together"),
    _switch("enable_ssl_refresh", "the certificate is read at the start; start again for another"),
    _switch("enable_log_outputs", "what models say is never logged"),
    _switch("enable_prompt_embeds", "prompts are text or token ids"),
    _switch("enable_tokenizer_info_endpoint", "that endpoint is not there yet; /tokenize and /detokenize are"),
    _valued("log_config_file", (), "give --log-level and --uvicorn-log-level"),
    _valued("tool_server", (), "tools of the server's own are not there yet"),
    _valued("convert", ("auto", "none"), "a model that generates is served, and answers /v1/embeddings too",
            known=("embed", "classify", "reward")),
    _valued("pooler_config", (), _POOLING, "--override-pooler-config"),
    _valued("hf_config_path", (), "config.json is read from the model's folder"),
    _valued("logits_processors", (), "own processors are not there yet", several=True),
    _valued("logits_processor_pattern", (), "own processors are not there yet"),
    _valued("stream_interval", ("1",), "each token is sent when it is there"),
    _valued("scheduler_cls", (), "there is one scheduler"),
    _valued("default_chat_template_kwargs", (), "a request may bring chat_template_kwargs; for all of them it is not "
            "there yet"),
    _valued("max_num_queued_reqs", (), "give --max-queue, which counts those that wait and not those that run"),
    _valued("max_num_queued_tokens", (), "give --max-queue-tokens"),
    _valued("kv_events_config", (), "keys and values stay in one engine"),
    _valued("data_parallel_rank", ("0",), _PARALLEL),
    _valued("data_parallel_size_local", ("1",), _PARALLEL),
    _switch("enable_eplb", _PARALLEL),
    _valued("alpha", ("1.0", "1"), _ROPE),
    _switch("use_ntk", _ROPE),
)  # fmt: skip
