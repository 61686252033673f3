"""How a model makes vectors of texts, as sentence-transformers saves it beside a model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from portico.config.text import PoolingKind
from portico.errors import CheckpointError
from portico.weights.files import read_json

_KINDS: dict[str, PoolingKind] = {
    "pooling_mode_lasttoken": "last",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "first",
}


@dataclass(frozen=True, slots=True)
class PoolingDefaults:
    """What the model's folder says of its vectors; without a word, the last token's state with length 1."""

    kind: PoolingKind = "last"
    normalize: bool = True
    problem: str | None = None
    """Why vectors as the folder describes them cannot be made."""

    @classmethod
    def load(cls, folder: str | Path, unsaid: PoolingKind = "last") -> PoolingDefaults:
        """Read modules.json and what it points to, or take what is `unsaid`; CheckpointError if a file is broken."""
        path = Path(folder) / "modules.json"
        if not path.is_file():
            return cls(unsaid)
        modules = {str(entry["type"]).rpartition(".")[2]: str(entry.get("path", "")) for entry in _entries(path)}
        unknown = sorted(modules.keys() - {"Transformer", "Pooling", "Normalize"})
        if unknown:
            return cls(problem=f"modules.json has a module {unknown[0]}")
        asked = read_json(Path(folder) / modules.get("Pooling", "") / "config.json") if "Pooling" in modules else {}
        modes = [name for name, on in asked.items() if name.startswith("pooling_mode_") and on is True]
        if len(modes) > 1 or not all(mode in _KINDS for mode in modes):
            return cls(problem=f"its pooling is {', '.join(modes)}")
        return cls(_KINDS[modes[0]] if modes else "last", "Normalize" in modules)


def _entries(path: Path) -> list[dict[str, Any]]:
    try:
        entries = msgspec.json.decode(path.read_bytes(), type=list[dict[str, Any]])
    except (OSError, msgspec.DecodeError) as error:
        raise CheckpointError(f"{path} cannot be read as a list of modules: {error}.") from error
    if not all("type" in entry for entry in entries):
        raise CheckpointError(f"{path}: a module has no type.")
    return entries
