"""From checkpoint to decoder: which tensor goes where."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from portico.errors import CheckpointError
from portico.kernels.dispatch import Kernels
from portico.kernels.linear import Linear, NotFiniteError, Rows, WeightFormat, stacked
from portico.kernels.prepare import HeadNorm
from portico.model.config import ModelConfig
from portico.model.decoder import Decoder, DecoderLayer
from portico.model.layers import MLP, Attention, RMSNorm
from portico.model.rope import Rotary
from portico.weights.packed import PackedWeights
from portico.weights.safetensors import Checkpoint, release

_HARMLESS = re.compile(r"(^|\.)rotary_emb\.(inv_freq|cos_cached|sin_cached)$")
"""Buffers that old exports of these families carry; they are computed from config.json."""


def load_decoder(
    config: ModelConfig,
    checkpoint: Checkpoint,
    packed: PackedWeights,
    *,
    dtype: torch.dtype,
    device: torch.device,
    kernels: Kernels,
    max_model_len: int,
    on_progress: Callable[[float], None] = lambda share: None,
) -> Decoder:
    """The model with its weights, those of products from `packed` where it has them.

    `on_progress` is told the share of the model that is in place, from 0 to 1. Raises CheckpointError for a tensor that
    is missing, left over, wrongly shaped, or holds what is no finite number.
    """
    prefix = "" if "embed_tokens.weight" in checkpoint else "model."
    loader = _Loader(config, checkpoint, packed, dtype, device, kernels, prefix, on_progress)
    decoder = loader.decoder(Rotary(config.rope, config.head_dim, max_model_len, device))
    tied_copy = {"lm_head.weight"} if config.tie_word_embeddings else set()
    leftover = [name for name in checkpoint.leftover() if not _HARMLESS.search(name) and name not in tied_copy]
    if leftover:
        raise CheckpointError(
            f"{checkpoint.file_of(leftover[0])}: tensor {leftover[0]} has no place in {config.architecture} as "
            f"config.json describes it ({len(leftover)} such tensors)."
        )
    return decoder


@dataclass(frozen=True, slots=True)
class _Loader:
    config: ModelConfig
    checkpoint: Checkpoint
    packed: PackedWeights
    dtype: torch.dtype
    device: torch.device
    kernels: Kernels
    prefix: str
    """Of the names of all tensors but the head; models that were saved without a head have none."""
    on_progress: Callable[[float], None]

    def decoder(self, rotary: Rotary) -> Decoder:
        self.on_progress(0.0)
        c = self.config
        head_format, shape = self.kernels.head, (c.vocab_size, c.hidden_size)
        embedding = f"{self.prefix}embed_tokens"
        head = self.weight(head_format, ["lm_head" if not c.tie_word_embeddings else embedding], shape[:1], shape[1])
        if head_format.rows is None:
            rows: Rows = partial(F.embedding, weight=self.tensor(f"{embedding}.weight", *shape))
        else:
            table = head if c.tie_word_embeddings else self.weight(head_format, [embedding], shape[:1], shape[1])
            rows = head_format.rows(table, shape)
        return Decoder(
            config=c,
            embedding=rows,
            rotary=rotary,
            layers=[self.layer(i) for i in range(c.num_layers)],
            norm=self.norm(f"{self.prefix}norm"),
            head=head_format.product(head, shape, None),
            kernels=self.kernels,
        )

    def layer(self, index: int) -> DecoderLayer:
        self.on_progress((index + 1) / (self.config.num_layers + 2))  # head and embedding came first
        prefix = f"{self.prefix}layers.{index}"
        return DecoderLayer(
            attention_norm=self.norm(f"{prefix}.input_layernorm"),
            attention=self.attention(index, f"{prefix}.self_attn"),
            mlp_norm=self.norm(f"{prefix}.post_attention_layernorm"),
            mlp=self.mlp(f"{prefix}.mlp"),
        )

    def attention(self, index: int, prefix: str) -> Attention:
        c = self.config
        query, kv = c.num_heads * c.head_dim, c.num_kv_heads * c.head_dim
        names = [f"{prefix}.{part}" for part in ("q_proj", "k_proj", "v_proj")]
        return Attention(
            layer=index,
            config=c,
            qkv=self.linear(names, [query, kv, kv], c.hidden_size, bias=c.qkv_bias),
            out=self.linear([f"{prefix}.o_proj"], [c.hidden_size], query, bias=c.o_bias),
            qk_norm=self.qk_norm(prefix) if c.qk_norm else None,
            kernels=self.kernels,
        )

    def qk_norm(self, prefix: str) -> HeadNorm:
        c = self.config
        query, key = (self.tensor(f"{prefix}.{part}.weight", c.head_dim) for part in ("q_norm", "k_norm"))
        weight = torch.cat((query.expand(c.num_heads, -1), key.expand(c.num_kv_heads, -1)))
        return HeadNorm(weight, c.rms_norm_eps)

    def mlp(self, prefix: str) -> MLP:
        c = self.config
        names, sizes = [f"{prefix}.gate_proj", f"{prefix}.up_proj"], [c.intermediate_size] * 2
        return MLP(
            gate_up=self.linear(names, sizes, c.hidden_size, bias=c.mlp_bias),
            down=self.linear([f"{prefix}.down_proj"], [c.hidden_size], c.intermediate_size, bias=c.mlp_bias),
            kernels=self.kernels,
        )

    def linear(self, names: Sequence[str], out_sizes: Sequence[int], in_size: int, *, bias: bool) -> Linear:
        """One linear layer from several of the same input, stacked."""
        weight = self.weight(self.kernels.linear, names, out_sizes, in_size)
        parts = [self.tensor(f"{name}.bias", size) for name, size in zip(names, out_sizes, strict=True)] if bias else []
        return self.kernels.linear.product(weight, (sum(out_sizes), in_size), stacked(parts) if bias else None)

    def weight(
        self, weight_format: WeightFormat, names: Sequence[str], out_sizes: Sequence[int], in_size: int
    ) -> Tensor:
        """A weight stacked from several, as the format packs it."""
        sized = [(f"{name}.weight", size) for name, size in zip(names, out_sizes, strict=True)]
        if weight_format.packed_bytes is None:
            return weight_format.pack(*(self.tensor(name, size, in_size) for name, size in sized))
        for name, size in sized:
            self.checkpoint.expect(name, (size, in_size))

        def make() -> Tensor:
            read = {name: self.checkpoint.get(name, (size, in_size)) for name, size in sized}
            try:
                packed = weight_format.pack(*map(self.as_wanted, read.values()))
            except NotFiniteError:
                for name, part in read.items():
                    self.sound(name, part)
                raise
            for part in read.values():
                release(part)
            return packed

        size = weight_format.packed_bytes((sum(out_sizes), in_size))
        return self.packed.get(" ".join(name for name, _ in sized), size, make)

    def norm(self, name: str) -> RMSNorm:
        return RMSNorm(self.tensor(f"{name}.weight", self.config.hidden_size), self.config.rms_norm_eps, self.kernels)

    def tensor(self, name: str, *shape: int) -> Tensor:
        return self.sound(name, self.checkpoint.get(name, shape))

    def as_wanted(self, read: Tensor) -> Tensor:
        """On the device and of the dtype."""
        return read.to(device=self.device, dtype=self.dtype)

    def sound(self, name: str, read: Tensor) -> Tensor:
        """A tensor where and as it is wanted; CheckpointError if a number in it is none."""
        tensor = self.as_wanted(read)
        low, high = torch.aminmax(tensor)  # NaN if there is one; several times as fast as looking at each by isfinite
        if not (torch.isfinite(low) and torch.isfinite(high)):
            kind = str(self.dtype).removeprefix("torch.")
            raise CheckpointError(
                f"{self.checkpoint.file_of(name)}: tensor {name} holds NaN or infinity (as {kind}); the file is "
                "damaged, or its numbers need another --dtype."
            )
        return tensor
