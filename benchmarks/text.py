"""`python -m benchmarks.text`: what reading an answer costs the front process, in µs a token.

The bound is 20 µs: with it one core reads 50,000 tokens a second, of whatever number of streams.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from portico.demo import demo_folder
from portico.text.thinking import BY_NAME as THINKING
from portico.text.thinking import ThinkingReader
from portico.text.tokenizer import Tokenizer
from portico.text.tools.format import Toolbox
from portico.text.tools.reader import ToolReader
from portico.text.tools.registry import BY_NAME

BOUND = 20.0
TOOLBOX = Toolbox({"write_file": {"properties": {"path": {"type": "string"}, "lines": {"type": "array"}}}})
PROSE = "The capital of France is Paris, and that of Japan is Tokyo; [1] a < b means that a is less than b.\n" * 40
ARGUMENTS = {"path": "/src/main.py", "lines": [f"print({n})  # a line of the file" for n in range(150)]}
CALLS = {
    "hermes": "<tool_call>\n{object}\n</tool_call>",
    "llama3_json": "{object}",
    "pythonic": "[write_file(path='/src/main.py', lines={lines})]",
    "mistral": "[TOOL_CALLS][{object}]",
    "internlm2": "<|action_start|><|plugin|>{object}<|action_end|>",
    "qwen3_coder": "<tool_call>\n<function=write_file>\n<parameter=path>\n/src/main.py\n</parameter>\n"
    "<parameter=lines>\n{lines}\n</parameter>\n</function>\n</tool_call>",
    "deepseek_v31": "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>write_file<｜tool▁sep｜>{arguments}<｜tool▁call▁end｜>",
    "glm4": "write_file\n{arguments}",
    "granite": "<|tool_call|>[{object}]",
    "phi4": "functools[{object}]",
    "functionary": "<function=write_file>{arguments}</function>",
}
ROUNDS = 5


def main() -> None:
    tokenizer = Tokenizer.load(demo_folder())
    table = Table("parser", "tokens", "prose, µs a token", "a long call, µs a token")
    prose = split(tokenizer, PROSE)
    for name, form in BY_NAME.items():
        if name in CALLS:
            call = split(tokenizer, written(CALLS[name]))

            def make(form: Any = form) -> Any:
                return ToolReader(form, TOOLBOX)

            made = ToolReader(form, TOOLBOX)
            assert sum(len(made.push(piece)) for piece in call) + len(made.end()) > 1
            assert made.calls == 1, name
            table.add_row(name, str(len(call)), shown(cost(make, prose)), shown(cost(make, call)))
    for name in ("qwen3", "granite"):
        form = THINKING[name]
        text = split(tokenizer, form.begins[0] + PROSE + form.ends[0] + PROSE)

        def think(form: Any = form) -> Any:
            return ThinkingReader(form, inside=False)

        table.add_row(f"thinking: {name}", str(len(text)), shown(cost(think, text)), "")
    Console().print(table)


def written(call: str) -> str:
    """A call of a file's length as a model of this kind writes it."""
    arguments = json.dumps(ARGUMENTS)
    text = json.dumps({"name": "write_file", "parameters": ARGUMENTS})
    return call.replace("{object}", text).replace("{arguments}", arguments).replace("{lines}", repr(ARGUMENTS["lines"]))


def split(tokenizer: Tokenizer, text: str) -> list[str]:
    """The pieces in which a detokeniser gives a text."""
    detokenizer = tokenizer.detokenizer(skip_special_tokens=False)
    return [detokenizer.push(token_id) for token_id in tokenizer.encode(text, add_special_tokens=False)]


def cost(make: Callable[[], Any], pieces: Sequence[str]) -> float:
    """Microseconds a piece, the best of some rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        reader = make()
        start = time.perf_counter()
        for piece in pieces:
            reader.push(piece)
        reader.end()
        best = min(best, time.perf_counter() - start)
    return best / len(pieces) * 1e6


def shown(microseconds: float) -> str:
    return f"{microseconds:.1f}" + ("" if microseconds < BOUND else " (over the bound)")


if __name__ == "__main__":
    main()
