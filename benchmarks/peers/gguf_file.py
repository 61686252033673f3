"""Write a Qwen3 checkpoint as GGUF in bfloat16; in llama.cpp's environment: `-m benchmarks.peers.gguf_file FROM TO`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import gguf
import numpy as np

LAYER = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
ALONE = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}


def main(checkpoint: Path, target: Path) -> None:
    config = json.loads((checkpoint / "config.json").read_text())
    writer = gguf.GGUFWriter(str(target), "qwen3")
    _describe(writer, config)
    _vocabulary(writer, json.loads((checkpoint / "tokenizer.json").read_text()))
    for name, data in _tensors(checkpoint / "model.safetensors"):
        if data.ndim == 1:
            wide = (data.astype(np.uint32) << 16).view(np.float32)
            writer.add_tensor(name, wide)
        else:
            writer.add_tensor(name, data.view(np.uint8), raw_dtype=gguf.GGMLQuantizationType.BF16)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _describe(writer: Any, config: dict[str, Any]) -> None:
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_BF16)


def _vocabulary(writer: Any, tokenizer: dict[str, Any]) -> None:
    tokens = sorted(tokenizer["model"]["vocab"].items(), key=lambda item: item[1])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([token for token, _ in tokens])
    writer.add_token_types([gguf.TokenType.NORMAL] * len(tokens))
    writer.add_token_merges(["Ġ w"])  # none, but the reader wants a list that is not empty
    writer.add_eos_token_id(1)
    writer.add_add_bos_token(False)


def _tensors(path: Path) -> list[tuple[str, np.ndarray]]:
    """Names of GGUF and the bits of bfloat16; numpy has no such number."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
    data = np.memmap(path, np.uint16, "r", offset=8 + size) if size % 2 == 0 else None
    if data is None:
        raise SystemExit(f"{path}: the header's length is odd, {size}")
    header.pop("__metadata__", None)
    found = []
    for name, entry in header.items():
        if entry["dtype"] != "BF16":
            raise SystemExit(f"{path}: {name} is {entry['dtype']}, not BF16")
        begin, end = (offset // 2 for offset in entry["data_offsets"])
        found.append((_rename(name), data[begin:end].reshape(entry["shape"])))
    return found


def _rename(name: str) -> str:
    if name in ALONE:
        return ALONE[name]
    _, _, layer, rest = name.split(".", 3)
    return f"blk.{layer}.{LAYER[rest.removesuffix('.weight')]}.weight"


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
