"""The keys that let clients in, from wherever they are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from portico.errors import ConfigError

OTHER_VARIABLE = "VLLM_API_KEY"
"""Read where no option says a key."""


def api_keys(given: Sequence[str], file: str | None, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Those given and those of a file, one a line; else that of the environment. No error quotes a key.

    Raises ConfigError for a file that cannot be read or has none, and for a key that is empty or could not be sent.
    """
    keys = [*given, *(() if file is None else _in_file(Path(file)))]
    if not keys and environ.get(OTHER_VARIABLE):
        keys = [environ[OTHER_VARIABLE]]
    for key in keys:
        if not key.strip() or key != key.strip() or not key.isprintable():
            raise ConfigError(
                "An API key is empty, begins or ends with a space, or holds a control character: nobody could send it."
            )
    return tuple(dict.fromkeys(keys))


def _in_file(path: Path) -> list[str]:
    try:
        lines = path.expanduser().read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError(f"--api-key-file {path} cannot be read: {why}.") from None
    keys = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not keys:
        raise ConfigError(f"--api-key-file {path} has no key in it; without one everybody would be let in.")
    return keys
