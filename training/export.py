"""Write the trained model as a Hugging Face checkpoint, where the package expects it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer

from training.dialogue import END, STOP
from training.model import Decoder

ROOT = Path(__file__).parent.parent
MODEL = ROOT / "src" / "portico" / "demo" / "model"
TEMPLATE = Path(__file__).parent / "chat_template.jinja"


def export(model: Decoder, tokenizer: Tokenizer, folder: Path = MODEL) -> None:
    """Write config, weights in bfloat16, tokenizer, template and sampling defaults."""
    folder.mkdir(parents=True, exist_ok=True)
    stop, end = tokenizer.token_to_id(STOP), tokenizer.token_to_id(END)
    config = model.shape.config() | {"bos_token_id": stop, "eos_token_id": end, "pad_token_id": stop}
    _write(folder / "config.json", config)
    _write(
        folder / "generation_config.json",
        {"eos_token_id": [end, stop], "pad_token_id": stop, "do_sample": True, "temperature": 0.5, "top_p": 0.9},
    )
    _write(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "eos_token": END,
            "pad_token": STOP,
            "model_max_length": model.shape.max_position_embeddings,
            "clean_up_tokenization_spaces": False,
        },
    )
    shutil.copy(TEMPLATE, folder / "chat_template.jinja")
    tokenizer.save(str(folder / "tokenizer.json"))
    tensors = {
        f"model.{name}": p.detach().to("cpu", torch.bfloat16).contiguous() for name, p in model.named_parameters()
    }
    save_file(tensors, folder / "model.safetensors.partial", metadata={"format": "pt"})
    (folder / "model.safetensors.partial").replace(folder / "model.safetensors")


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
