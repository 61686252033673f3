"""Models of the Hugging Face hub, fetched into its cache."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from portico.errors import CheckpointError

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


@dataclass(frozen=True, slots=True)
class Hub:
    """What of the hub is wanted, and where it is kept; the hub library's own settings where nothing is said."""

    revision: str | None = None
    """A branch, tag or commit."""
    cache_dir: str | None = None
    token: str | None = None

    def fetch(self, name: str, *, weights: bool = True, looked: str = "") -> Path:
        """The snapshot of owner/name; without `weights` only the small files. `looked`: where else it was looked for.

        The hub library itself obeys HF_ENDPOINT, HF_TOKEN, HF_HOME and HF_HUB_OFFLINE and shows the progress. Files in
        subfolders are other formats of the same weights. Raises CheckpointError with the remedy.
        """
        from huggingface_hub import constants, snapshot_download
        from huggingface_hub import errors as hub

        here = f"There is no folder {name} (looked at {looked})" if looked else "It was asked for by HF://"
        try:
            return Path(
                snapshot_download(
                    name,
                    revision=self.revision,
                    cache_dir=self.cache_dir,
                    token=self.token,
                    allow_patterns=list((*_WANTED, *_WEIGHTS) if weights else _WANTED),
                    ignore_patterns=["model*/*"],
                )
            )
        except hub.GatedRepoError as error:
            raise CheckpointError(
                f"{name} is gated: ask for access at {constants.ENDPOINT}/{name}, then set HF_TOKEN to your token."
            ) from error
        except hub.RevisionNotFoundError as error:
            raise CheckpointError(f"{constants.ENDPOINT}/{name} has no revision {self.revision}.") from error
        except hub.RepositoryNotFoundError as error:
            raise CheckpointError(
                f"{here}, and {constants.ENDPOINT} has no model {name} (or a private one: set HF_TOKEN)."
            ) from error
        except hub.HFValidationError as error:
            raise CheckpointError(f"{here}, and {name} cannot be a hub id: {_line(error)}") from error
        except Exception as error:  # the HTTP library below differs between versions of the hub library
            if constants.HF_HUB_OFFLINE:
                raise CheckpointError(
                    f"{name} is not, or not wholly, in the hub cache {self.cache_dir or constants.HF_HUB_CACHE} and "
                    f"HF_HUB_OFFLINE is set: unset it, or give a local folder. {here}."
                ) from error
            raise CheckpointError(
                f"{name} could not be fetched from {constants.ENDPOINT} ({_line(error)}) and is not in the cache: "
                f"check the network and HF_ENDPOINT, or give a local folder. {here}."
            ) from error


def _line(error: BaseException) -> str:
    """The root of an error in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = " ".join(str(error).split())
    return text or type(error).__name__
