"""All formats by name, and which of them a model's chat template speaks of."""

from __future__ import annotations

from collections.abc import Iterable

from portico.errors import ConfigError
from portico.text.plugins import plugin
from portico.text.tools.deepseek import DEEPSEEK_V3, DEEPSEEK_V31
from portico.text.tools.format import ToolFormat
from portico.text.tools.functionary import FUNCTIONARY, JSON_LIST
from portico.text.tools.glm4 import GLM4, GLM45
from portico.text.tools.granite import GRANITE
from portico.text.tools.harmony import HARMONY
from portico.text.tools.hermes import HERMES
from portico.text.tools.hunyuan import HUNYUAN
from portico.text.tools.internlm import INTERNLM2
from portico.text.tools.kimi import KIMI_K2
from portico.text.tools.llama import LLAMA3_JSON
from portico.text.tools.minimax import MINIMAX_M2
from portico.text.tools.mistral import MISTRAL
from portico.text.tools.phi4 import PHI4
from portico.text.tools.pythonic import PYTHONIC
from portico.text.tools.qwen3_coder import QWEN3_CODER

FORMATS = (
    # In the order in which templates are looked at: the more particular signs first.
    HARMONY,
    *(QWEN3_CODER, GLM45, DEEPSEEK_V3, DEEPSEEK_V31, INTERNLM2, MISTRAL, GRANITE, PHI4),
    *(KIMI_K2, MINIMAX_M2, HUNYUAN),
    *(PYTHONIC, FUNCTIONARY, HERMES, LLAMA3_JSON, GLM4, JSON_LIST),
)
BY_NAME = {form.name: form for form in FORMATS}
ALIASES = {
    "qwen": "hermes",
    "qwen3": "hermes",
    "qwen2d5": "hermes",
    "qwen3coder": "qwen3_coder",
    "qwen3_xml": "qwen3_coder",
    "llama3": "llama3_json",
    "llama4_json": "llama3_json",
    "llama4_pythonic": "pythonic",
    "internlm": "internlm2",
    "intern-s1": "internlm2",
    "glm47": "glm45",
    "gpt-oss": "harmony",
    "openai": "harmony",
    "hunyuan_a13b": "hunyuan",
    "minimax": "hunyuan",
    "minimax-m2": "minimax_m2",
    "phi4_mini_json": "phi4",
}
"""Names that other servers have for the same."""


def choose(name: str, templates: Iterable[str]) -> ToolFormat | None:
    """The format for `--tool-call-parser NAME`: auto looks at the chat templates, none is no format.

    Other names are those of installed plug-ins or files of one's own. ConfigError for a name that stands for nothing.
    """
    if name == "none":
        return None
    if name == "auto":
        return detect(templates)
    if (form := BY_NAME.get(ALIASES.get(name, name))) is not None:
        return form
    found = plugin(name, "portico.tool_call_parsers", ToolFormat, "--tool-call-parser")
    if found is None:
        raise ConfigError(
            f"--tool-call-parser is {name!r}; it must be auto, none, one of {', '.join(BY_NAME)}, an installed "
            "plug-in, module:ATTRIBUTE or FILE.py:ATTRIBUTE."
        )
    return found


def detect(templates: Iterable[str]) -> ToolFormat | None:
    """The format of which a template has all signs."""
    sources = list(templates)
    for form in FORMATS:
        if form.signs and any(all(sign in source for sign in form.signs) for source in sources):
            return form
    return None
