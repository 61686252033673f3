"""The code blocks of a page that is plain text: the marks around them are gone, in some pages the indentation too."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Block:
    """Code as it stands in a page, from this line on."""

    language: str
    text: str
    line: int


def blocks(page: str) -> Iterator[Block]:
    """Every block of a page, in order."""
    lines = page.splitlines()
    at = 0
    while at < len(lines):
        language = next((name for name, (first, _) in RULES.items() if re.match(first, lines[at])), None)
        end = at + 1
        if language is not None:
            goes_on = RULES[language][1]
            while end < len(lines) and goes_on("\n".join(lines[at:end]), lines[end]):
                end += 1
            yield Block(language, "\n".join(lines[at:end]).rstrip(), at + 1)
        at = end


def _json_goes_on(so_far: str, _: str) -> bool:
    try:
        json.loads(so_far)
    except json.JSONDecodeError:
        return True
    return False


def _shell_goes_on(so_far: str, _: str) -> bool:
    """Within quotes, behind a backslash, and as long as there are only comments."""
    try:
        return not shlex.split(so_far, comments=True)
    except ValueError:
        return True


PROSE = re.compile(r"[A-Z][a-z]+(\s|$)|- |.*[\u3000-\u9fff]")
"""A line that begins with a capitalised word, an item of a list, or anything Chinese."""


def _python_goes_on(_: str, line: str) -> bool:
    return not PROSE.match(line)


RULES: dict[str, tuple[str, Callable[[str, str], bool]]] = {
    "json": (r"\{$", _json_goes_on),
    "shell": (r"\$ |# \w|PYTHONPATH=|(curl|docker|lmdeploy|mlc_llm|pip|python|sed|vllm) ", _shell_goes_on),
    "python": (
        r"from [\w.]+ import |import \w|\w+ = |\w+: (Optional|bool|int|float)\b",
        _python_goes_on,
    ),
}
"""By language: what a first line begins with; whether the next line still belongs to what there is."""
