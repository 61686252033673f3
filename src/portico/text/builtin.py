"""Chat templates that come with Portico, for models that have none, and what --chat-template may be."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from portico.errors import ConfigError

_SUFFIX = ".jinja"


def builtin_names() -> list[str]:
    """The names of the templates that come with Portico."""
    return sorted(entry.name.removesuffix(_SUFFIX) for entry in _folder().iterdir() if entry.name.endswith(_SUFFIX))


def template_source(given: str) -> str:
    """The template that a name, a file or a text of Jinja stands for; ConfigError if it is none of them."""
    alike = {_squeezed(name): name for name in builtin_names()}
    if _squeezed(given) in alike:
        return (_folder() / f"{alike[_squeezed(given)]}{_SUFFIX}").read_text(encoding="utf-8")
    if "{{" in given or "{%" in given:
        return given
    path = Path(given).expanduser()
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"--chat-template {given}: the file is not UTF-8 text: {error}.") from error
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"--chat-template {given}: there is no such file, no Jinja in it, and no built-in template of that name; "
            f"these are {', '.join(builtin_names())}."
        ) from error


def _folder() -> Traversable:
    return files("portico.text") / "templates"


def _squeezed(name: str) -> str:
    """Names as people write them: llama2, Llama-2, llama_2."""
    return name.lower().replace("-", "").replace("_", "")
