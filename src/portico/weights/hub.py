"""Where a model's folder is: on this disk, or fetched from the Hugging Face hub into its cache."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from portico.errors import CheckpointError

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")

_WANTED = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "*.tiktoken",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
    "additional_chat_templates/*.jinja",
)
_WEIGHTS = ("model*.safetensors", "model.safetensors.index.json")
"""Never pickles (.bin, .pt): loading those runs code."""


def resolve_model(name: str, *, weights: bool = True) -> Path:
    """The folder of a model given as a path or as a hub id, owner/name; fetches what the cache lacks.

    Without `weights` only the small files, a tokenizer's among them.

    The hub library itself obeys HF_ENDPOINT, HF_TOKEN, HF_HOME and HF_HUB_OFFLINE and shows the progress. Raises
    CheckpointError with the remedy.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if path.exists():
        raise CheckpointError(f"{name} is a file; give the folder that holds config.json and the safetensors files.")
    if not _HUB_ID.fullmatch(name) or name.startswith("."):
        raise CheckpointError(f"There is no folder {name}; give a folder, or a hub id of the form owner/name.")
    return _fetch(name, (*_WANTED, *_WEIGHTS) if weights else _WANTED)


def _fetch(name: str, wanted: Sequence[str]) -> Path:
    """The snapshot of a hub id; files in subfolders are other formats of the same weights."""
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub import errors as hub

    try:
        return Path(snapshot_download(name, allow_patterns=list(wanted), ignore_patterns=["model*/*"]))
    except hub.GatedRepoError as error:
        raise CheckpointError(
            f"{name} is gated: ask for access at {constants.ENDPOINT}/{name}, then set HF_TOKEN to a token of yours."
        ) from error
    except hub.RepositoryNotFoundError as error:
        raise CheckpointError(
            f"There is no folder {name}, and {constants.ENDPOINT} has no such model (or a private one: set HF_TOKEN)."
        ) from error
    except hub.HFValidationError as error:
        raise CheckpointError(f"There is no folder {name}, and it cannot be a hub id: {_line(error)}") from error
    except Exception as error:  # the HTTP library below differs between versions of the hub library
        if constants.HF_HUB_OFFLINE:
            raise CheckpointError(
                f"{name} is not, or not wholly, in the hub cache {constants.HF_HUB_CACHE} and HF_HUB_OFFLINE is set: "
                "unset it, or give a local folder."
            ) from error
        raise CheckpointError(
            f"{name} could not be fetched from {constants.ENDPOINT} ({_line(error)}) and is not in the cache: "
            "check the network and HF_ENDPOINT, or give a local folder."
        ) from error


def _line(error: BaseException) -> str:
    """The root of an error in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = " ".join(str(error).split())
    return text or type(error).__name__
