"""Chat templates that come with Portico, for models that have none, and what --chat-template may be."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from portico.errors import ConfigError
from portico.text.lmdeploy_template import read_template

_SUFFIX = ".jinja"


def builtin_names() -> list[str]:
    """The names of the templates that come with Portico."""
    return sorted(entry.name.removesuffix(_SUFFIX) for entry in _folder().iterdir() if entry.name.endswith(_SUFFIX))


@dataclass(frozen=True, slots=True)
class GivenTemplate:
    """A chat template in Jinja, and the words that end an answer besides the model's own."""

    source: str
    stop_words: tuple[str, ...] = ()


def given_template(given: str) -> GivenTemplate:
    """What --chat-template stands for, LMDeploy's JSON files too; ConfigError if it is nothing of the kind."""
    path = Path(given).expanduser()
    if path.suffix.lower() != ".json" or not path.is_file():
        return GivenTemplate(template_source(given))
    source, name, stop_words = read_template(path)
    return GivenTemplate(template_source(name or "") if source is None else source, stop_words)


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
