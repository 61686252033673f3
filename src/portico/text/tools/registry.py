"""All formats by name, and which of them a model's chat template speaks of."""

from __future__ import annotations

import importlib
from collections.abc import Iterable

from portico.errors import ConfigError
from portico.text.tools.deepseek import DEEPSEEK_V3, DEEPSEEK_V31
from portico.text.tools.format import ToolFormat
from portico.text.tools.functionary import FUNCTIONARY, JSON_LIST
from portico.text.tools.glm4 import GLM4, GLM45
from portico.text.tools.granite import GRANITE
from portico.text.tools.hermes import HERMES
from portico.text.tools.internlm import INTERNLM2
from portico.text.tools.llama import LLAMA3_JSON
from portico.text.tools.mistral import MISTRAL
from portico.text.tools.phi4 import PHI4
from portico.text.tools.pythonic import PYTHONIC
from portico.text.tools.qwen3_coder import QWEN3_CODER

FORMATS = (
    # In the order in which templates are looked at: the more particular signs first.
    *(QWEN3_CODER, GLM45, DEEPSEEK_V3, DEEPSEEK_V31, INTERNLM2, MISTRAL, GRANITE, PHI4),
    *(PYTHONIC, FUNCTIONARY, HERMES, LLAMA3_JSON, GLM4, JSON_LIST),
)
BY_NAME = {form.name: form for form in FORMATS}
ALIASES = {"qwen": "hermes", "internlm": "internlm2", "llama4_pythonic": "pythonic", "phi4_mini_json": "phi4"}


def choose(name: str, templates: Iterable[str]) -> ToolFormat | None:
    """The format for `--tool-call-parser NAME`: auto looks at the chat templates, none is no format.

    `module:ATTRIBUTE` takes a ToolFormat from an installed module. ConfigError for a name that stands for nothing.
    """
    if name == "none":
        return None
    if name == "auto":
        return detect(templates)
    if ":" in name:
        return _imported(name)
    if (form := BY_NAME.get(ALIASES.get(name, name))) is None:
        raise ConfigError(
            f"--tool-call-parser is {name!r}; it must be auto, none, one of {', '.join(BY_NAME)}, or module:ATTRIBUTE."
        )
    return form


def detect(templates: Iterable[str]) -> ToolFormat | None:
    """The format of which a template has all signs."""
    sources = list(templates)
    for form in FORMATS:
        if form.signs and any(all(sign in source for sign in form.signs) for source in sources):
            return form
    return None


def _imported(name: str) -> ToolFormat:
    module, _, attribute = name.partition(":")
    try:
        form = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"--tool-call-parser {name}: {error}.") from error
    if not isinstance(form, ToolFormat):
        raise ConfigError(f"--tool-call-parser {name}: that is no portico.text.tools.format.ToolFormat.")
    return form
