"""`python -m training.train`: make the demo model from nothing but this folder; run again to go on where it stopped."""

from __future__ import annotations

import argparse
import math
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor

from training.batches import Batch, chunks
from training.export import export
from training.model import Decoder, Shape
from training.muon import Muon
from training.tokenizer import train_tokenizer

OUT = Path(__file__).parent / "out"
SEED = 20
BATCH_TOKENS = 8192
WARMUP = 60
CHECKPOINT_SECONDS = 120
MUON_RATE, ADAM_RATE = 0.02, 3e-3


def main() -> None:
    parser = argparse.ArgumentParser(prog="training.train", description=__doc__)
    parser.add_argument("--steps", type=int, default=9600, help="optimiser steps of about 7,300 tokens (default: 9600)")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of tokenizer and checkpoint")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(SEED)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    tokenizer = _tokenizer(arguments.out / "tokenizer.json")
    model = Decoder(Shape(tokenizer.get_vocab_size())).to(device)
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters on {device}", flush=True)
    _train(model, tokenizer, arguments.steps, arguments.out / "checkpoint.pt")
    export(model, tokenizer)


def _tokenizer(path: Path) -> Tokenizer:
    if not path.exists():
        train_tokenizer(SEED).save(str(path))
    return Tokenizer.from_file(str(path))


def _optimizers(model: Decoder) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the layers (Jordan et al. 2024), AdamW for embedding and norms."""
    matrices = [p for name, p in model.named_parameters() if p.dim() == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.dim() != 2 or "embed" in name]
    return [
        Muon(matrices, lr=MUON_RATE),
        torch.optim.AdamW(others, lr=ADAM_RATE, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def _rate(step: int, steps: int) -> float:
    """Share of the full rate: a short warm-up, a plateau, and a linear way down over the second half."""
    return min((step + 1) / WARMUP, 1.0, 2.0 * (1 - step / steps) + 0.005)


def _forward(model: Decoder) -> Callable[[Tensor], Tensor]:
    """The decoder, compiled where there is a compiler: a third faster on a CPU."""
    return torch.compile(model, dynamic=True) if shutil.which("g++") else model


def _loss(model: Decoder, forward: Callable[[Tensor], Tensor], batch: Batch, device: torch.device) -> Tensor:
    """Mean cross-entropy of the learned tokens; the head is computed at their positions alone."""
    ids, learned = batch.ids.to(device), batch.learned.to(device)
    with torch.autocast(device.type, torch.bfloat16):
        hidden = forward(ids[:, :-1])
        logits = model.logits(hidden[learned[:, 1:]])
    return F.cross_entropy(logits.float(), ids[:, 1:][learned[:, 1:]])


def _train(model: Decoder, tokenizer: Tokenizer, steps: int, path: Path) -> None:
    device = next(model.parameters()).device
    optimizers, forward = _optimizers(model), _forward(model)
    state = {"step": 0, "chunk": 0, "tokens": 0, "seconds": 0.0}
    if path.exists():
        saved = torch.load(path, map_location=device, weights_only=True)
        model.load_state_dict(saved["model"])
        for optimizer, values in zip(optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(values)
        state = saved["state"]
        print(f"going on at step {state['step']}", flush=True)
    base = [[group["lr"] for group in optimizer.param_groups] for optimizer in _optimizers(model)]
    saved_at = started = time.time()
    average = math.nan
    for number, batches in chunks(tokenizer, SEED, int(state["chunk"]), BATCH_TOKENS):
        for batch in batches:
            for optimizer, rates in zip(optimizers, base, strict=True):
                for group, rate in zip(optimizer.param_groups, rates, strict=True):
                    group["lr"] = rate * _rate(int(state["step"]), steps)
            loss = _loss(model, forward, batch, device)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            average = loss.item() if math.isnan(average) else 0.98 * average + 0.02 * loss.item()
            state["step"] += 1
            state["tokens"] += batch.tokens
            if state["step"] % 50 == 0:
                seconds = state["seconds"] + time.time() - started
                print(
                    f"step {state['step']} loss {average:.4f}, {state['tokens'] / 1e6:.1f} M tokens, {seconds:.0f} s",
                    flush=True,
                )
            if state["step"] >= steps:
                break
        state["chunk"] = number + 1
        done = state["step"] >= steps
        if done or time.time() - saved_at > CHECKPOINT_SECONDS:
            saved_at = time.time()
            state["seconds"] += saved_at - started
            started = saved_at
            values = {"model": model.state_dict(), "optimizers": [o.state_dict() for o in optimizers], "state": state}
            torch.save(values, path.with_suffix(".partial"))
            path.with_suffix(".partial").replace(path)
        if done:
            return


if __name__ == "__main__":
    main()
