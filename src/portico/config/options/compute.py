"""What the engine may use of the machine."""

from __future__ import annotations

from dataclasses import dataclass

from portico.config.modes import MODES
from portico.config.option import option
from portico.config.values import (
    one_of,
    only,
    parse_device,
    parse_positive,
    parse_seconds,
    parse_share,
    parse_size,
    parse_slowdown,
    parse_switch,
    translated,
)
from portico.errors import ConfigError

ENGINE = "engine"
MEMORY = "memory for keys and values"
LOGPROBS_MODES = ("raw_logprobs", "raw_logits", "processed_logprobs", "processed_logits")
KV_DTYPES = ("auto", "bfloat16", "float16", "float32", "int8")
_KV_WORDS = {"0": "auto", "none": "auto", "8": "int8"}
"""LMDeploy's words."""
_PREFIX_WORDS = {"radix": "true", "disable": "false"}


@dataclass(frozen=True, slots=True)
class ComputeOptions:
    """Device, memory and how many sequences share them."""

    device: str = option(
        "auto", "where to compute: auto, cpu, cuda, rocm or metal, cuda and rocm with an id as cuda:1",
        group=ENGINE, parse=parse_device, metavar="NAME[:ID]", words=(("--only-cpu", "cpu"),),
    )  # fmt: skip
    mode: str | None = option(
        None, "local: 4 sequences at a time, one context (at most 8192 tokens) in memory; interactive: 1 sequence, one "
        "context; server: as many as there is room for (default: server); other options win over it",
        group=ENGINE, parse=one_of(*MODES), metavar="{local,interactive,server}",
    )  # fmt: skip
    overrides: str | None = option(
        None,
        'options by MLC LLM\'s names, as "max_num_sequence=32;prefill_chunk_size=512"',
        group=ENGINE,
        metavar="K=V;…",
    )
    max_num_seqs: int | None = option(
        None, "sequences that run at the same time (default: 128, or as --mode says)",
        group=ENGINE, parse=parse_positive, metavar="N", aliases=("--max-batch-size", "--max-num-sequence"),
    )  # fmt: skip
    max_num_batched_tokens: int | None = option(
        None, "tokens computed in one step: decoding streams first, the rest for chunks of prompts",
        group=ENGINE, parse=parse_positive, metavar="TOKENS",
        aliases=("--max-prefill-token-num", "--prefill-chunk-size"),
    )  # fmt: skip
    prefill_slowdown: float = option(
        2.5, "how many times as long as without prompts a step of running streams may take: prompts are computed in "
        "chunks of the size that keeps to it, found out by measuring; 0: in large ones, the streams waiting",
        group=ENGINE, parse=parse_slowdown, metavar="TIMES",
    )  # fmt: skip
    threads: int | None = option(
        None, "CPU threads of the engine (default: the physical cores it may use)",
        group=ENGINE, parse=parse_positive, metavar="N",
    )  # fmt: skip
    step_timeout: float = option(
        300.0, "seconds that one step may take before the engine is given up for stuck and replaced; 0: any",
        group=ENGINE, parse=parse_seconds, metavar="SECONDS",
    )  # fmt: skip
    kernels: str = option(
        "auto", "torch: only the plain-torch twins of the fast paths; or the native ones for one instruction set",
        group=ENGINE, choices=("auto", "torch", "amx", "avx512-bf16", "avx2", "baseline"),
    )  # fmt: skip
    logprobs_mode: str = option(
        "raw_logprobs", "what 'logprobs' reports: of the model's own distribution (raw), or of the one that is drawn "
        "from (processed: after penalties, temperature and filters); log-probabilities, or logits in their place",
        group=ENGINE, choices=LOGPROBS_MODES,
    )  # fmt: skip
    kv_cache_memory: int | None = option(
        None, "as 512MiB or 4GiB (default: from what is free)",
        group=MEMORY, parse=parse_size, metavar="SIZE", aliases=("--kv-cache-memory-bytes",),
    )  # fmt: skip
    kv_cache_tokens: int | None = option(
        None, "tokens that it holds at most (default: what --max-num-seqs sequences can need, and fits)",
        group=MEMORY, parse=parse_positive, metavar="TOKENS", aliases=("--max-total-seq-length",),
    )  # fmt: skip
    num_gpu_blocks_override: int | None = option(
        None, "the same in blocks of --block-size tokens", group=MEMORY, parse=parse_positive, metavar="BLOCKS"
    )
    cache_max_entry_count: float | None = option(
        None, "share of the memory that is free once the weights are loaded, as LMDeploy counts",
        group=MEMORY, parse=parse_share, metavar="SHARE",
    )  # fmt: skip
    gpu_memory_utilization: float | None = option(
        None, "share of the device's whole memory that weights, keys and values and all else on it may fill, as vLLM "
        "and MLC LLM count; on a CPU, of the machine's",
        group=MEMORY, parse=parse_share, metavar="SHARE",
    )  # fmt: skip
    kv_cache_dtype: str = option(
        "auto", "what they are kept in; auto is the dtype of the computation, int8 takes about half of the memory and "
        "of the time to read it, for slightly different answers",
        group=MEMORY, parse=translated(_KV_WORDS, only(KV_DTYPES, f"it must be one of {', '.join(KV_DTYPES)}")),
        metavar="{auto,bfloat16,float16,float32,int8}", aliases=("--quant-policy",),
    )  # fmt: skip
    block_size: int = option(
        16, "tokens in a block of the KV cache",
        group=MEMORY, parse=parse_positive, metavar="TOKENS", aliases=("--cache-block-seq-len", "--kv-cache-page-size"),
    )  # fmt: skip
    enable_prefix_caching: bool = option(
        True, "keep what is computed of a prompt for others that begin alike",
        group=MEMORY, parse=translated(_PREFIX_WORDS, parse_switch),
        valued=(("--prefix-cache-mode", "{radix,disable}"),),
    )  # fmt: skip

    @property
    def sequences(self) -> int:
        """Sequences that run at the same time."""
        return self.max_num_seqs or MODES[self.mode or "server"].max_num_seqs

    def most_tokens(self) -> int | None:
        """Tokens that the KV cache holds at most, as far as somebody says; ConfigError if two say it."""
        if self.num_gpu_blocks_override is None:
            return self.kv_cache_tokens
        if self.kv_cache_tokens is not None:
            raise ConfigError("kv_cache_tokens and num_gpu_blocks_override say the same; give one of them.")
        return self.num_gpu_blocks_override * self.block_size
