"""Chat templates as LMDeploy's JSON files have them: what stands around the messages of each role."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from portico.errors import CheckpointError, ConfigError
from portico.weights.files import read_json

AROUND = {
    "system": ("system", "eosys"),
    "user": ("user", "eoh"),
    "assistant": ("assistant", "eoa"),
    "tool": ("tool", "eotool"),
}
"""The keys of what stands before and behind a message of a role; `separator` stands behind `eoa`."""
TEXTS = ("meta_instruction", "separator", *(key for keys in AROUND.values() for key in keys))
OTHERS = ("model_name", "capability", "stop_words")

_TEMPLATE = """\
{%- set before = BEFORE -%}
{%- set behind = BEHIND -%}
{%- set opening = '' if messages[0].role == 'system' else OPENING -%}
{%- set first = opening or before[messages[0].role] -%}
{%- if bos_token is defined and not first.startswith(bos_token) %}{{ bos_token }}{% endif -%}
{{- opening -}}
{%- for message in messages -%}
{%- if message.role not in before -%}
{{- raise_exception('This template knows the roles ' ~ before | join(', ') ~ '; this one is ' ~ message.role ~ '.') -}}
{%- endif -%}
{%- set open = loop.last and add_generation_prompt and message.role == 'assistant' -%}
{{- before[message.role] ~ message.content ~ ('' if open else behind[message.role]) -}}
{%- endfor -%}
{%- if add_generation_prompt and messages[-1].role != 'assistant' %}{{ before.assistant }}{% endif -%}
"""


def read_template(path: Path) -> tuple[str | None, str | None, tuple[str, ...]]:
    """A file's template in Jinja, or the name that it gives instead; and the words that end an answer.

    Raises ConfigError for what is not such a file.
    """
    try:
        content = read_json(path)
    except CheckpointError as error:
        raise ConfigError(f"--chat-template {error}") from error
    _check(path, content)
    texts = {key: content[key] or "" for key in TEXTS if key in content}
    name = content.get("model_name")
    if not texts and isinstance(name, str):
        return None, name, tuple(content.get("stop_words") or ())
    return _jinja(texts), None, tuple(content.get("stop_words") or ())


def _check(path: Path, content: Mapping[str, Any]) -> None:
    for key, value in content.items():
        if key not in (*TEXTS, *OTHERS):
            raise ConfigError(
                f"--chat-template {path}: there is no key {key}; these are {', '.join((*TEXTS, *OTHERS))}."
            )
        if key in TEXTS and not isinstance(value, str | None):
            raise ConfigError(f"--chat-template {path}: {key} is {value!r}; a string was expected.")
    words = content.get("stop_words") or []
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ConfigError(f"--chat-template {path}: stop_words is {words!r}; a list of strings was expected.")
    if content.get("capability", "chat") not in ("chat", None):
        raise ConfigError(f"--chat-template {path}: capability is {content['capability']!r}; only chat is there.")
    if not any(key in content for key in (*TEXTS, "model_name")):
        raise ConfigError(f"--chat-template {path}: none of {', '.join(TEXTS)} is there.")


def _jinja(texts: Mapping[str, str]) -> str:
    roles = {role: keys for role, keys in AROUND.items() if role != "tool" or "tool" in texts}
    before = {role: texts.get(keys[0], "") for role, keys in roles.items()}
    behind = {role: texts.get(keys[1], "") for role, keys in roles.items()}
    behind["assistant"] += texts.get("separator", "")
    meta = texts.get("meta_instruction")
    opening = "" if meta is None else f"{before['system']}{meta}{behind['system']}"
    filled = _TEMPLATE
    for name, value in (("BEFORE", before), ("BEHIND", behind), ("OPENING", opening)):
        filled = filled.replace(name, json.dumps(value, ensure_ascii=False), 1)
    return filled
