"""MLC LLM's `--overrides "key=value;key=value"`: each key is another name of an option."""

from __future__ import annotations

from portico.config.given import Given, Source, closest
from portico.errors import ConfigError

KEYS = {
    "max_num_sequence": "max_num_seqs",
    "max_total_seq_length": "kv_cache_tokens",
    "max_total_sequence_length": "kv_cache_tokens",
    "max_single_sequence_length": "max_model_len",
    "context_window_size": "max_model_len",
    "prefill_chunk_size": "max_num_batched_tokens",
    "gpu_memory_utilization": "gpu_memory_utilization",
    "kv_cache_page_size": "block_size",
    "prefix_cache_mode": "enable_prefix_caching",
    "prefill_mode": "prefill_mode",
    "prefix_cache_max_num_recycling_seqs": "prefix_cache_max_num_recycling_seqs",
    "sliding_window_size": "sliding_window_size",
    "attention_sink_size": "attention_sink_size",
    "max_history_size": "max_history_size",
    "spec_draft_length": "spec_draft_length",
    "spec_tree_width": "spec_tree_width",
    "tensor_parallel_shards": "tensor_parallel_size",
    "pipeline_parallel_stages": "pipeline_parallel_size",
    "opt": "opt",
}


def expand(source: Source) -> dict[str, Given]:
    """A source with its overrides among its options; ConfigError for an unknown key or one that is given twice."""
    expanded = dict(source)
    overrides = expanded.pop("overrides", None)
    for pair in () if overrides is None else overrides.texts[-1].split(";"):
        if not pair.strip():
            continue
        assert overrides is not None
        key, equals, value = (part.strip() for part in pair.partition("="))
        where = f"{overrides.where} {key}"
        if not equals or not value:
            raise ConfigError(f"{overrides.where}: {pair.strip()!r} is not of the form key=value")
        if key not in KEYS:
            raise ConfigError(f"{overrides.where}: there is no key {key}{closest(key, KEYS)}")
        name = KEYS[key]
        if name in expanded:
            raise ConfigError(f"{where} says the same as {expanded[name].where}; give one of them.")
        expanded[name] = Given(where, (value,))
    return expanded
