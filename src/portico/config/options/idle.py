"""Options of the other servers that can do nothing here and do no harm: each says why, in the log too."""

from __future__ import annotations

from portico.config.option import Option, OptionSpec
from portico.config.values import one_of, parse_switch

GROUP = "accepted, without effect here"


def _switch(name: str, why: str, *aliases: str, off: tuple[str, ...] = ()) -> Option:
    return Option(name, False, OptionSpec(why, GROUP, parse_switch, aliases=aliases, off=off, idle=why))


def _valued(name: str, why: str, *aliases: str, values: tuple[str, ...] = (), several: bool = False) -> Option:
    parse = one_of(*values) if values else str
    metavar = f"{{{','.join(values)}}}" if values else "VALUE"
    return Option(name, None, OptionSpec(why, GROUP, parse, metavar, aliases=aliases, repeated=several, idle=why))


_COMPILED = "no compiled library is needed: the weights are run as they are"
_NO_CODE = "code of a checkpoint is never run, so there is none to trust"
_GRAPHS = "there are no CUDA graphs to capture"
_ONE_DEVICE = "a model runs on one device, so nothing is sent between devices"
_NO_SWAP = "a sequence that must give way is computed again, not moved to other memory"
_ADAPTERS = "it is about adapters, which are refused"
_IMAGES = "it is about images, sound and video, which are refused"
_TOOLS = "tool calls are read whenever a request has tools"
_KERNELS = "kernels are chosen by the machine; see --kernels"
_QUICK_LOAD = "weights are mapped from their files, which takes no time worth showing or tuning"
_SPLIT_OFF = "the server and the engine are processes of their own always"

IDLE: tuple[Option, ...] = (
    # MLC LLM, MLC-Chat
    _valued("model_lib", _COMPILED, "--lib-path", "--model-lib-path"),
    _valued("opt", _COMPILED),
    _valued("embedding_model_lib", _COMPILED),
    _valued("prefill_mode", "prompts are computed in chunks beside the streams that decode, always",
            values=("hybrid", "chunked")),
    _valued("prefix_cache_max_num_recycling_seqs", "what the prefix cache keeps is bounded by memory alone"),
    _valued("max_history_size", "it is about recurrent models, which are refused"),
    # LMDeploy
    _valued("backend", "one engine serves for both", values=("pytorch", "turbomind")),
    _valued("max_prefill_iters", "how prompts are cut is decided at each step, by --max-num-batched-tokens"),
    _valued("vision_max_batch_size", _IMAGES),
    _valued("communicator", _ONE_DEVICE),
    _valued("dist_init_addr", _ONE_DEVICE),
    _valued("async", _SPLIT_OFF, values=("0", "1")),
    _valued("cudagraph_capture_batch_sizes", _GRAPHS, several=True),
    _valued("kernel_block_size", _KERNELS),
    _switch("language_model_only", "images, sound and video are refused anyway"),
    _switch("disable_metrics", "nothing is counted that costs time"),
    # vLLM
    _switch("trust_remote_code", _NO_CODE),
    _valued("code_revision", _NO_CODE),
    _switch("enforce_eager", _GRAPHS, "--eager-mode"),
    _valued("max_seq_len_to_capture", _GRAPHS, "--max-context-len-to-capture"),
    _valued("cuda_graph_sizes", _GRAPHS, several=True),
    _valued("compilation_config", "nothing is compiled at the start", "-O"),
    _valued("swap_space", _NO_SWAP),
    _valued("preemption_mode", _NO_SWAP, values=("recompute", "swap")),
    _switch("disable_log_stats", "no figures are logged while it runs"),
    _switch("enable_auto_tool_choice", _TOOLS),
    _switch("enable_reasoning", "thinking is read apart whenever the model marks it; see --reasoning-parser"),
    _switch("use_v2_block_manager", "there is one block manager"),
    _switch("disable_frontend_multiprocessing", _SPLIT_OFF),
    _switch("disable_async_output_proc", _SPLIT_OFF),
    _switch("async_scheduling", _SPLIT_OFF),
    _valued("num_scheduler_steps", "each step is scheduled afresh"),
    _switch("multi_step_stream_outputs", "each token is sent when it is there"),
    _valued("scheduler_delay_factor", "a prompt waits for nothing but room"),
    _valued("distributed_executor_backend", _ONE_DEVICE, values=("ray", "mp", "uni", "external_launcher")),
    _valued("max_parallel_loading_workers", _ONE_DEVICE),
    _switch("worker_use_ray", _ONE_DEVICE, "--engine-use-ray"),
    _switch("disable_custom_all_reduce", _ONE_DEVICE),
    _valued("guided_decoding_backend", "llguidance enforces grammars, whatever form they come in",
            "--structured-outputs-config"),
    _valued("max_loras", _ADAPTERS),
    _valued("max_lora_rank", _ADAPTERS),
    _valued("max_cpu_loras", _ADAPTERS),
    _valued("lora_dtype", _ADAPTERS),
    _switch("enable_request_id_headers", "answers have an x-request-id always"),
    _switch("enable_server_load_tracking", "/load tells what runs always"),
    _switch("enable_prompt_tokens_details", "usage tells the cached tokens always"),
    _switch("disable_hybrid_kv_cache_manager", "all layers share one table of blocks"),
    _valued("max_num_partial_prefills", "how prompts share a step is decided at each step"),
    _valued("long_prefill_token_threshold", "how prompts share a step is decided at each step"),
    _valued("model_impl", "there is one implementation of each family"),
    _valued("mm_processor_kwargs", _IMAGES),
    _valued("allowed_local_media_path", _IMAGES),
    _valued("allowed_media_domains", _IMAGES, several=True),
    _valued("tokenizer_pool_size", "tokenizing needs no pool: it runs beside the event loop"),
    _valued("limit_mm_per_prompt", _IMAGES),
    _valued("prefix_caching_hash_algo", "prefixes are compared, not hashed"),
    _switch("exclude_tools_when_tool_choice_none", "with tool_choice none the model is not shown the tools anyway"),
    _switch("guided_decoding_disable_fallback", "there is one way to enforce a grammar, and none to fall back to"),
    _switch("guided_decoding_disable_any_whitespace", "the parts of JSON have one space or none between them anyway"),
    _switch("log_error_stack", "the log has the traceback of every fault of the server's own"),
    _switch("disable_cascade_attn", _KERNELS),
    _valued("attention_backend", _KERNELS),
    _switch("calculate_kv_scales", "each entry of an int8 cache has a scale of its own"),
    _switch("use_tqdm_on_load", _QUICK_LOAD),
    _valued("safetensors_load_strategy", _QUICK_LOAD),
    _valued("pt_load_map_location", _QUICK_LOAD),
    _valued("max_long_partial_prefills", "how prompts share a step is decided at each step"),
    _valued("num_lookahead_slots", "it is about drafts, which are refused"),
    _valued("tokenizer_pool_type", "tokenizing needs no pool: it runs beside the event loop"),
    _valued("tokenizer_pool_extra_config", "tokenizing needs no pool: it runs beside the event loop"),
    _switch("ray_workers_use_nsight", _ONE_DEVICE),
    _switch("fully_sharded_loras", _ADAPTERS),
    _switch("disable_chunked_mm_input", _IMAGES),
    _switch("disable_mm_preprocessor_cache", _IMAGES),
    _switch("skip_mm_profiling", _IMAGES),
    _valued("mm_processor_cache_gb", _IMAGES),
    _valued("media_io_kwargs", _IMAGES),
    _valued("show_hidden_metrics_for_version", "no metric is hidden"),
    _switch("use_flash_attention_2", _KERNELS),
)  # fmt: skip
