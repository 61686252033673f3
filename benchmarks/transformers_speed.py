"""The same work by `transformers`, for a ratio that holds whatever machine this is."""

from __future__ import annotations

import time
from pathlib import Path

import torch


class Baseline:
    """A loaded `transformers` model, greedy, with its default cache."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModelForCausalLM

        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
        self.vocabulary = self.model.config.vocab_size

    @torch.inference_mode()
    def prefill(self, tokens: int = 1024) -> float:
        """Prompt tokens a second, logits of the last position only."""
        ids = torch.randint(0, self.vocabulary, (1, tokens))
        start = time.perf_counter()
        self.model(ids, use_cache=True, logits_to_keep=1)
        return tokens / (time.perf_counter() - start)

    @torch.inference_mode()
    def decode(self, sequences: int, prompt: int = 128, new_tokens: int = 24) -> float:
        """New tokens a second of a batch."""
        ids = torch.randint(0, self.vocabulary, (sequences, prompt))
        out = self.model(ids, use_cache=True, logits_to_keep=1)
        start = time.perf_counter()
        for _ in range(new_tokens):
            ids = out.logits[:, -1:].argmax(-1)
            out = self.model(ids, past_key_values=out.past_key_values, use_cache=True, logits_to_keep=1)
        return sequences * new_tokens / (time.perf_counter() - start)
