"""The decoder: embedding, layers of attention and feed-forward with pre-normalisation, head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from portico.kernels.dispatch import Kernels
from portico.kernels.linear import Linear, Rows
from portico.model.batch import Batch
from portico.model.cache import KVCache
from portico.model.config import ModelConfig
from portico.model.layers import MLP, Attention, RMSNorm
from portico.model.rope import Rotary


@dataclass(frozen=True, slots=True)
class DecoderLayer:
    """Attention and feed-forward, each with a residual around it."""

    attention_norm: RMSNorm
    attention: Attention
    mlp_norm: RMSNorm
    mlp: MLP

    def attend(self, x: Tensor, angles: tuple[Tensor, Tensor], batch: Batch, cache: KVCache) -> Tensor:
        """The first half, in which tokens see each other; changes x [tokens, hidden] in place."""
        x += self.attention(self.attention_norm(x), angles, batch, cache)
        return x

    def feed_forward(self, x: Tensor) -> Tensor:
        """The second half, every token for itself; changes x [tokens, hidden] in place."""
        x += self.mlp(self.mlp_norm(x))
        return x


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
        angles = self.rotary.angles(batch.positions, x.dtype)
        *inner, last = self.layers
        for layer in inner:
            x = layer.feed_forward(layer.attend(x, angles, batch, cache))
        # Past the last attention nothing is read of tokens whose logits are not wanted.
        return self.norm(last.feed_forward(last.attend(x, angles, batch, cache)[batch.draws]))

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits [rows, vocab] in the model's dtype of hidden states [rows, hidden]."""
        return self.head(hidden)
