"""The keys that let clients in, from wherever they are given."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from portico.config.rates import RateLimits
from portico.config.values import parse_positive, parse_seconds
from portico.errors import ConfigError

OTHER_VARIABLE = "VLLM_API_KEY"
"""Read where no option says a key."""


@dataclass(frozen=True, slots=True)
class KeyTerms:
    """What one key has otherwise than the server says for all."""

    request_timeout: float | None = None
    """Seconds that its requests may take; None: as for all."""
    rates: RateLimits = RateLimits()  # noqa: RUF009 - frozen
    """None in it: as for all."""
    outranks: bool = False
    """Whether the priority of its requests counts against those of other keys."""


Keys = Mapping[str, KeyTerms]
"""Each key with its terms."""


def key_digest(key: str) -> str:
    """What stands for a key wherever it is kept, in hexadecimal digits."""
    return hashlib.sha256(key.encode()).hexdigest()


def api_keys(given: Sequence[str], file: str | None, environ: Mapping[str, str], chiefs: Sequence[str] = ()) -> Keys:
    """Those given, those of a file, and `chiefs`, who outrank the others; else that of the environment.

    No error quotes a key. Raises ConfigError for a file that cannot be read or has none, for terms that cannot be, and
    for a key that is empty or could not be sent.
    """
    keys = dict.fromkeys(given, KeyTerms()) | ({} if file is None else _in_file(Path(file)))
    keys |= {key: replace(keys.get(key, KeyTerms()), outranks=True) for key in chiefs}
    if not keys and environ.get(OTHER_VARIABLE):
        keys = {environ[OTHER_VARIABLE]: KeyTerms()}
    for key in keys:
        if not key.strip() or key != key.strip() or not key.isprintable():
            raise ConfigError(
                "An API key is empty, begins or ends with a space, or holds a control character: nobody could send it."
            )
    return keys


def _in_file(path: Path) -> dict[str, KeyTerms]:
    try:
        lines = path.expanduser().read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError(f"--api-key-file {path} cannot be read: {why}.") from None
    keys = {}
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if words and not words[0].startswith("#"):
            keys[words[0]] = _terms(words[1:], f"--api-key-file {path}, line {number}")
    if not keys:
        raise ConfigError(f"--api-key-file {path} has no key in it; without one everybody would be let in.")
    return keys


def _terms(words: Sequence[str], where: str) -> KeyTerms:
    """What stands behind a key: `priority`, or a name of a flag with `=` and its value."""
    seconds, outranks, rates = None, False, RateLimits()
    for word in words:
        name, given, value = word.partition("=")
        try:
            match name.removeprefix("--").replace("_", "-"), bool(given):
                case "priority", False:
                    outranks = True
                case "request-timeout", True:
                    seconds = parse_seconds(value)
                case "rate-limit-requests", True:
                    rates = replace(rates, requests=parse_positive(value))
                case "rate-limit-tokens", True:
                    rates = replace(rates, tokens=parse_positive(value))
                case _:  # not quoted: it may be the rest of a key
                    raise ConfigError(
                        f"{where}: behind the key may stand priority, request-timeout=SECONDS, rate-limit-requests=N "
                        "and rate-limit-tokens=N."
                    )
        except ValueError as error:
            raise ConfigError(f"{where}: {name} is {value!r}; {error}.") from None
    return KeyTerms(seconds, rates, outranks)
