"""Where a model's folder is: a path, a name under dist/ or the models folder, or the hub."""

from __future__ import annotations

import logging
import re
from pathlib import Path

from portico.errors import CheckpointError
from portico.weights.hub import Hub

log = logging.getLogger(__name__)

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_HUB_PREFIX = re.compile(r"hf://|https://huggingface\.co/", re.IGNORECASE)
_MLC_FILES = ("mlc-chat-config.json", "tensor-cache.json", "ndarray-cache.json")


def resolve_model(
    name: str,
    *,
    weights: bool = True,
    hub: Hub = Hub(),  # noqa: B008 - frozen
    models_dir: str = "models",
) -> Path:
    """The folder of a model given as a path, a name, HF://owner/name or a hub id; fetches what the cache lacks.

    Names are looked for where MLC LLM looks, under dist/, and in `models_dir`. Without `weights` only the small files
    are fetched, a tokenizer's among them. Raises CheckpointError with the places that were looked at and the remedy.
    """
    if _HUB_PREFIX.match(name):
        return hub.fetch(_hub_id(name), weights=weights)
    path = Path(name).expanduser()
    if path.is_file():
        raise CheckpointError(f"{name} is a file; give the folder that holds config.json and the safetensors files.")
    places = _places(path, models_dir)
    folders = [place for place in places if place.is_dir()]
    for folder in folders:
        if (folder / "config.json").is_file():
            if hub.revision is not None:
                log.warning("%s is a folder: its revision cannot be chosen, and %s is not.", folder, hub.revision)
            return folder
    if packed := next((folder for folder in folders if any((folder / file).is_file() for file in _MLC_FILES)), None):
        raise CheckpointError(
            f"{packed} holds weights packed by MLC LLM, which cannot be read yet: give the Hugging Face checkpoint "
            "they were made from (config.json and safetensors), or put it there; --quantization int4 packs it at load."
        )
    if folders:
        return folders[0]  # whoever reads it says what is missing
    looked = ", ".join(map(str, places))
    if not _HUB_ID.fullmatch(name) or name.startswith("."):
        raise CheckpointError(
            f"There is no folder {name}; looked at {looked}. Give a folder, or a hub id of the form owner/name."
        )
    return hub.fetch(name, weights=weights, looked=looked)


def _places(path: Path, models_dir: str) -> list[Path]:
    """The path as it is, and for one that could be a name where such are kept."""
    if path.is_absolute() or path.parts[:1] in ((".",), ("..",)) or str(path) in (".", ""):
        return [path]
    dist = Path("dist")
    return [
        path,
        dist / path,
        dist / f"{path}-MLC",
        dist / "prebuilt" / path,
        dist / path / "params",
        dist / "prebuilt" / f"mlc-chat-{path}",
        Path(models_dir).expanduser() / path,
    ]


def _hub_id(name: str) -> str:
    identity = _HUB_PREFIX.sub("", name).strip("/")
    if not _HUB_ID.fullmatch(identity):
        raise CheckpointError(f"{name} does not name a model of the hub: it must be of the form HF://owner/name.")
    return identity
