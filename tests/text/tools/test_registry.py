from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from portico.demo import demo_folder
from portico.errors import ConfigError
from portico.text import plugins
from portico.text.tools.hermes import HERMES
from portico.text.tools.registry import ALIASES, BY_NAME, choose
from tests.text.tools.written import read

TEMPLATES = {
    "harmony": "<|start|>assistant<|channel|>final<|message|>…<|end|> to=functions.f<|channel|>commentary json",
    "hermes": '<tool_call>\\n{"name": <function-name>, "arguments": <args-json-object>}\\n</tool_call>',
    "qwen3_coder": "<tool_call>\\n<function=example>\\n<parameter=a>\\nvalue\\n</parameter>\\n</function>",
    "llama3_json": '<|start_header_id|>… Respond in the format {"name": …, "parameters": …}',
    "pythonic": '<|start_header_id|>[func_name1(params_name1=params_value1...)] "parameters"',
    "mistral": "[AVAILABLE_TOOLS]…[/AVAILABLE_TOOLS] [TOOL_CALLS][",
    "internlm2": "<|action_start|><|plugin|>",
    "deepseek_v3": "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>name\\n```json\\n",
    "deepseek_v31": "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>name<｜tool▁sep｜>",
    "glm45": "<tool_call>{function-name}\\n<arg_key>{k}</arg_key>\\n<arg_value>{v}</arg_value>",
    "glm4": "[gMASK]<sop>",
    "granite": "<|start_of_role|>assistant<|end_of_role|><|tool_call|>",
    "phi4": "<|system|><|tool|>…<|/tool|>",
    "kimi_k2": "<|tool_calls_section_begin|><|tool_call_begin|>functions.f:0<|tool_call_argument_begin|>",
    "hunyuan": '<tool_calls>[{"name": …, "arguments": …}]</tool_calls>',
    "minimax_m2": '<minimax:tool_call>\\n<invoke name="f">',
    "functionary": "<function=example_function_name>{…}</function>",
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_auto_finds_what_a_template_speaks_of(name: str) -> None:
    assert choose("auto", ["{{ messages }}", TEMPLATES[name]]) is BY_NAME[name]


def test_auto_with_the_bundled_model_and_with_none_that_is_known() -> None:
    assert choose("auto", [(demo_folder() / "chat_template.jinja").read_text()]) is HERMES
    assert choose("auto", ["{{ messages }}"]) is None
    assert choose("none", list(TEMPLATES.values())) is None


def test_names_that_others_have_for_the_same() -> None:
    assert all(choose(alias, []) is BY_NAME[name] for alias, name in ALIASES.items())


MINE = """
from portico.text.tools.format import ToolFormat
from portico.text.tools.marked import json_body, marked
MINE = ToolFormat("mine", marked(("CALL:",), json_body()))
NOT = 5
"""


def test_a_parser_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "my_parser.py"
    file.write_text(MINE)
    mine = choose(f"{file}:MINE", [])
    assert mine is not None
    assert read(mine, 'Well. CALL: {"name": "f", "arguments": {"a": 1}}').calls == (("f", '{"a": 1}'),)
    monkeypatch.syspath_prepend(tmp_path)
    assert choose("my_parser:MINE", []) is not None
    installed = EntryPoints([EntryPoint("mine", "my_parser:MINE", "portico.tool_call_parsers")])
    monkeypatch.setattr(plugins, "entry_points", lambda group: installed.select(group=group))
    assert choose("mine", []) is not None


@pytest.mark.parametrize(
    ("name", "words"), [("{}:NOT", "ToolFormat"), ("{}:GONE", "GONE"), ("gone.py:X", "gone"), ("x", "hermes")]
)
def test_a_name_that_stands_for_nothing_is_refused(tmp_path: Path, name: str, words: str) -> None:
    file = tmp_path / "my_parser.py"
    file.write_text(MINE)
    with pytest.raises(ConfigError, match=words) as caught:
        choose(name.format(file), [])
    assert "--tool-call-parser" in str(caught.value)
