"""The decoder: embedding, layers of attention and feed-forward with pre-normalisation, head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from portico.kernels.context import Context
from portico.kernels.dispatch import Kernels
from portico.kernels.linear import Linear, Rows
from portico.model.batch import Batch
from portico.model.cache import KVCache
from portico.model.config import ModelConfig
from portico.model.layers import MLP, Attention, RMSNorm
from portico.model.rope import Rotary


@dataclass(frozen=True, slots=True)
class DecoderLayer:
    """Attention and feed-forward, each over a norm of the residual stream, to which what it gives is then added."""

    attention_norm: RMSNorm
    attention: Attention
    mlp_norm: RMSNorm
    mlp: MLP


@dataclass(frozen=True, slots=True)
class Decoder:
    """A causal language model; call it under `torch.inference_mode`."""

    config: ModelConfig
    embedding: Rows
    rotary: Rotary
    layers: Sequence[DecoderLayer]
    norm: RMSNorm
    head: Linear
    kernels: Kernels

    def __call__(self, batch: Batch, cache: KVCache) -> Tensor:
        """Hidden states [draws, hidden], normalised, for `logits`; keys and values of all tokens go to the cache."""
        x = self.embedding(batch.token_ids)
        return self.run(x, self.rotary.angles(batch.positions, x.dtype), batch.context, batch.draws, cache)

    def run(
        self, x: Tensor, angles: tuple[Tensor, Tensor], context: Context, draws: Tensor | None, cache: KVCache
    ) -> Tensor:
        """The same of embedded tokens x [tokens, hidden], which are written over."""
        *inner, last = self.layers
        added = None
        for layer in inner:
            added = layer.attention(layer.attention_norm(x, added), angles, context, cache)
            added = layer.mlp(layer.mlp_norm(x, added))
        added = last.attention(last.attention_norm(x, added), angles, context, cache)
        if draws is not None:  # past the last attention nothing is read of the other tokens
            x, added = x[draws], added[draws]
        return self.norm(x, last.mlp(last.mlp_norm(x, added)))

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits [rows, vocab] in the model's dtype of hidden states [rows, hidden]."""
        return self.head(hidden)
