# ruff: noqa: E501 - templates look as they do in model folders
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from portico.errors import CheckpointError, ConfigError, RequestError
from portico.protocol.request import Layout
from portico.text import sandbox
from portico.text.builtin import template_source
from portico.text.template import ChatTemplate
from portico.text.tokenizer import SpecialTokens, Tokenizer
from tests.text.folders import CHATML, llama, write_folder

SPECIAL = SpecialTokens(bos_token="<s>", eos_token="</s>")

LLAMA3 = """{{- bos_token }}
{%- if not date_string is defined %}{% set date_string = strftime_now("%d %b %Y") %}{% endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\nToday Date: " + date_string + "\\n\\n" + system_message + "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- set tool_call = message.tool_calls[0].function %}
        {{- '{"name": "' + tool_call.name + '", "parameters": ' }}
        {{- tool_call.arguments | tojson }}
        {{- "}<|eot_id|>" }}
    {%- else %}
        {{- "<|start_header_id|>ipython<|end_header_id|>\\n\\n" }}
        {{- message.content | tojson }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""

MISTRAL = """{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}
{% endif %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}
{% elif message['role'] == 'assistant' %}{% generation %}{{ message['content'] + eos_token }}{% endgeneration %}
{% else %}{% continue %}{% endif %}{% endfor %}
"""

QWEN3 = """{%- if tools %}
    {{- '<|im_start|>system\\n# Tools\\n<tools>' }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\\n</tools><|im_end|>\\n" }}
{%- endif %}
{%- set ns = namespace(last=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- if message.role == "user" and message.content is string %}{% set ns.last = messages|length - loop.index %}{% break %}{% endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {{- '<|im_start|>' + message.role + '\\n' + content }}
    {%- if message.tool_calls %}
        {%- for tool_call in message.tool_calls %}
            {%- if tool_call.function %}{% set tool_call = tool_call.function %}{% endif %}
            {{- '\\n<tool_call>\\n{"name": "' ~ tool_call.name ~ '", "arguments": ' }}
            {%- if tool_call.arguments is string %}{{- tool_call.arguments }}{%- else %}{{- tool_call.arguments | tojson }}{%- endif %}
            {{- '}\\n</tool_call>' }}
        {%- endfor %}
    {%- endif %}
    {{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}
{%- endif %}
"""

PARTS = """{% for message in messages %}{{ message.role }}:{% if message['content'] is string %}{{ message.content }}{% else %}
{% for part in message['content'] %}<{{ part.type }}>{{ part['text'] }}{% endfor %}{% endif %}
{% endfor %}{{ dict(a=1) | tojson(indent=2) }} {{ unk_token is defined }} {{ documents is none }} {{ tools is none }}"""

PLAIN = [
    {"role": "user", "content": "Who <b>& what</b> are you? 你好"},
    {"role": "assistant", "content": 'I am "Portico".'},
    {"role": "user", "content": "  Say so\n"},
]
SYSTEM = [{"role": "system", "content": "Be brief."}, *PLAIN]
CALLS: list[dict[str, Any]] = [
    {"role": "user", "content": "Weather?"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": "1",
                "type": "function",
                "function": {"name": "weather", "arguments": {"city": "Zürich", "n": [1, 2.5]}},
            }
        ],
    },
    {"role": "tool", "tool_call_id": "1", "content": "<sunny>"},
]
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}]
PARTED = [{"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]}]


@pytest.mark.parametrize("generation_prompt", [True, False])
@pytest.mark.parametrize(
    ("template", "messages", "tools"),
    [
        (CHATML, PLAIN, None),
        (CHATML, SYSTEM, None),
        (LLAMA3, SYSTEM, None),
        (LLAMA3, CALLS, None),
        (MISTRAL, PLAIN, None),
        (QWEN3, SYSTEM, None),
        (QWEN3, CALLS, TOOLS),
        (PARTS, PLAIN, None),
        (PARTS, PARTED, None),
    ],
)
def test_byte_equal_to_transformers(template, messages, tools, generation_prompt: bool, tmp_path: Path) -> None:
    config = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": None}
    folder = write_folder(tmp_path, llama(), config=config, template=template)
    oracle = AutoTokenizer.from_pretrained(folder)
    expected = oracle.apply_chat_template(
        messages, tools=tools, tokenize=False, add_generation_prompt=generation_prompt
    )
    ours = ChatTemplate.load(folder, Tokenizer.load(folder).special)
    assert ours.render(messages, tools, Layout(add_generation_prompt=generation_prompt)) == expected


def test_arguments_that_come_as_json_text_are_printed_as_an_object() -> None:
    texted = json.loads(json.dumps(CALLS))
    texted[1]["tool_calls"][0]["function"]["arguments"] = json.dumps({"city": "Zürich", "n": [1, 2.5]})
    template = ChatTemplate({"default": LLAMA3}, SPECIAL)
    assert template.render(texted) == template.render(CALLS)


def test_broken_argument_text_is_kept_as_it_is() -> None:
    broken = json.loads(json.dumps(CALLS))
    broken[1]["tool_calls"][0]["function"]["arguments"] = '{"city": '
    assert '"arguments": {"city": }' in ChatTemplate({"default": QWEN3}, SPECIAL).render(broken)


def test_parts_are_joined_for_a_template_that_wants_strings() -> None:
    assert ChatTemplate({"default": CHATML}, SPECIAL).render(PARTED).startswith("<|im_start|>user\nonetwo<|im_end|>")


@pytest.mark.parametrize("template", [CHATML, PARTS])
@pytest.mark.parametrize(
    ("part", "param"),
    [
        ({"type": "image_url", "image_url": {"url": "x"}}, "messages.1.content.1.type"),
        ({"text": "typeless"}, "messages.1.content.1.type"),
        ("bare", "messages.1.content.1.type"),
        ({"type": "text"}, "messages.1.content.1.text"),
    ],
)
def test_other_parts_are_refused_by_their_place(template: str, part: Any, param: str) -> None:
    messages = [PLAIN[0], {"role": "user", "content": [{"type": "text", "text": "see"}, part]}]
    with pytest.raises(RequestError) as caught:
        ChatTemplate({"default": template}, SPECIAL).render(messages)
    assert caught.value.param == param


def test_developer_is_system_for_a_template_that_does_not_know_it() -> None:
    messages = [{"role": "developer", "content": "Be brief."}]
    assert "<|im_start|>system\n" in ChatTemplate({"default": CHATML}, SPECIAL).render(messages)
    knowing = "{% for m in messages %}{% if m.role == 'developer' %}DEV{% endif %}{% endfor %}"
    assert ChatTemplate({"default": knowing}, SPECIAL).render(messages) == "DEV"


def test_a_templates_own_refusal_reaches_the_client() -> None:
    with pytest.raises(RequestError, match=r"^Conversation roles must alternate") as caught:
        ChatTemplate({"default": MISTRAL}, SPECIAL).render(PLAIN[1:])
    assert (caught.value.status, caught.value.param) == (400, "messages")


@pytest.mark.parametrize(
    "template",
    [
        "{{ messages[0].content.nothing.more }}",
        "{{ 1 / 0 }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{% for i in range(10000000) %}x{% endfor %}",
        "{{ raise_exception.__globals__.os }}",
        "{% set ns = namespace(__class__=1) %}",
        "{% set ns = namespace() %}{% set ns._x = 1 %}",
        "{{ ''.format.__self__ }}{{ ''.__init__.__globals__['os'] }}",
        "{{ '{0.__class__.__mro__}'.format(messages) | length / 0 }}",
        "{% include 'x' %}",
    ],
)
def test_a_template_that_fails_or_escapes_is_an_error_of_this_request(template: str) -> None:
    with pytest.raises(RequestError, match="chat template refused"):
        ChatTemplate({"default": template}, SPECIAL).render(PLAIN)


DOUBLING = "{{% set ns = namespace(x='ab') %}}{{% for i in range(60) %}}{{% set ns.x = {} %}}{{% endfor %}}"


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{ 'x' * 10**9 }}", "characters"),
        ("{{ 10**9 * 'x' }}", "characters"),
        ("{{ ([1] * 10**9) | length }}", "characters"),
        ("{{ (9 ** 9) ** (9 ** 9) }}", "number"),
        (DOUBLING.format("ns.x ~ ns.x"), "characters"),
        (DOUBLING.format("ns.x + ns.x"), "characters"),
        (DOUBLING.format("(ns.x ~ 'a') ~ (ns.x ~ 'b')"), "characters"),
        (DOUBLING.format("[ns.x, ns.x] | join"), "characters"),
        (DOUBLING.format("','.join([ns.x, ns.x])"), "characters"),
        (DOUBLING.format("ns.x.replace('a', 'aaaa')"), "characters"),
        (DOUBLING.format("ns.x | replace('a', 'aaaa')"), "characters"),
        ("{% set ns = namespace(x='ab') %}{% for i in range(60) %}{% set y %}{{ ns.x }}{{ ns.x }}{% endset %}"
         "{% set ns.x = y %}{% endfor %}", "characters"),
        ("{% for i in range(99999) %}{{ 'x' * 999 }}{% endfor %}", "characters"),
        (DOUBLING.format("[ns.x, ns.x]") + "{{ ns.x }}", "characters"),
        (DOUBLING.format("[ns.x, ns.x]") + "{{ ns.x | tojson }}", "characters"),
        (DOUBLING.format("[ns.x, ns.x]") + "{{ ns.x | string | length }}", "characters"),
        ("{{ [[1], [2]] | sum(start=[]) }}", "numbers"),
        ("{{ '%1000000000d' % 3 }}", "width"),
        ("{{ '%*d' | format(1000000000, 4) }}", "width"),
        ("{{ '{:1000000000}'.format(3) }}", "width"),
        ("{{ '{:{}}'.format(3, 1000000000) }}", "width"),
        ("{{ 'a'.ljust(1000000000) }}", "characters"),
        ("{{ 'a' | center(1000000000) }}", "width"),
        ("{{ 'a' | indent(1000000000, true) }}", "width"),
        ("{{ {'a': 1} | tojson(indent=1000000000) }}", "width"),
        ("{{ range(10**6) | list }}", "Range too big"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "recursion"),
    ],
)  # fmt: skip
def test_a_template_cannot_grow_without_bounds(template: str, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        ChatTemplate({"default": template}, SPECIAL).render(PLAIN)


@pytest.mark.parametrize(
    "template",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
        "{% for a in [0, 1] recursive %}{% if loop.depth < 60 %}{{ loop([0, 1]) }}{% endif %}{% endfor %}",
    ],
)
def test_a_template_cannot_run_forever(template: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "MAX_SECONDS", 0.1)
    with pytest.raises(RequestError, match=r"ran for more than 0\.1 seconds"):
        ChatTemplate({"default": template}, SPECIAL).render(PLAIN)


def test_what_real_templates_do_is_within_bounds() -> None:
    template = (
        "{{ 'a' * 3 }}{{ '%05.1f|%s' % (2, '2024 50%') }}{{ '{:>4}|{}'.format(7, 20240101) }}{{ 20240101 | tojson }}"
    )
    template += "{{ ['a', 'b'] | join(', ') }}{{ 'x'.rjust(3) }}{{ 'a\nb' | indent(4) }}{{ '2024: %s' | format(2025) }}"
    said = ChatTemplate({"default": template}, SPECIAL).render(PLAIN)
    assert said == "aaa002.0|2024 50%   7|2024010120240101a, b  xa\n    b2024: 2025"


def test_no_template_says_so() -> None:
    with pytest.raises(RequestError, match="no chat template"):
        ChatTemplate({}, SPECIAL).render(PLAIN)


def test_a_template_file_wins_and_named_templates_are_chosen_by_need(tmp_path: Path) -> None:
    named = [{"name": "default", "template": "plain"}, {"name": "tool_use", "template": "with tools"}]
    folder = write_folder(tmp_path, config={"chat_template": named}, template=None)
    template = ChatTemplate.load(folder, SPECIAL)
    assert template.render(PLAIN) == "plain"
    assert template.render(PLAIN, TOOLS) == "with tools"
    (folder / "chat_template.jinja").write_text("from the file", encoding="utf-8")
    assert ChatTemplate.load(folder, SPECIAL).render(PLAIN) == "from the file"
    more = folder / "additional_chat_templates"
    more.mkdir()
    (more / "rag.jinja").write_text("{{ documents[0].text }}", encoding="utf-8")
    (more / "tool_use.jinja").write_text("tools from a file", encoding="utf-8")
    oracle, ours = AutoTokenizer.from_pretrained(folder), ChatTemplate.load(folder, SPECIAL)
    documents = [{"text": "Paris"}]
    for name in (None, "rag", "default"):
        for tools in (None, TOOLS):
            want = oracle.apply_chat_template(
                PLAIN, tools=tools, documents=documents, chat_template=name, tokenize=False
            )
            layout = Layout(add_generation_prompt=False, template=name, documents=documents)
            assert ours.render(PLAIN, tools, layout) == want


def test_several_templates_without_a_default_must_be_chosen_from() -> None:
    ours = ChatTemplate({"rag": "1", "other": "2"}, SPECIAL)
    with pytest.raises(RequestError, match="one of 'other', 'rag'") as caught:
        ours.render(PLAIN)
    assert caught.value.param == "chat_template"
    assert ours.render(PLAIN, None, Layout(template="other")) == "2"


def test_chat_template_names_texts_and_files(tmp_path: Path) -> None:
    assert template_source("chatml") == template_source("ChatML")
    assert template_source("llama2") == template_source("Llama-2")
    assert template_source("{{ messages }}") == "{{ messages }}"
    (tmp_path / "x.jinja").write_text("你好", encoding="utf-8")
    assert template_source(str(tmp_path / "x.jinja")) == "你好"
    (tmp_path / "bad.jinja").write_bytes(b"\xff")
    for wrong, words in (("nothing", "alpaca, chatml"), (str(tmp_path / "bad.jinja"), "UTF-8")):
        with pytest.raises(ConfigError, match=words):
            template_source(wrong)


def test_reasoning_is_found_under_the_names_that_transformers_gives_it(tmp_path: Path) -> None:
    source = "{% for m in messages %}{{ m.reasoning_content }}|{{ m.thinking }}|{{ m.reasoning }};{% endfor %}"
    oracle = AutoTokenizer.from_pretrained(write_folder(tmp_path, template=source))
    for name in ("reasoning_content", "thinking", "reasoning"):
        talk = [PLAIN[0], {"role": "assistant", "content": "x", name: "hm"}]
        theirs = oracle.apply_chat_template(talk, tokenize=False)
        # Theirs has `reasoning` only where the client wrote that; ours wherever there is any.
        assert theirs in ("||;hm|hm|;", "||;hm|hm|hm;")
        assert ChatTemplate({"default": source}, SPECIAL).render(talk) == "||;hm|hm|hm;"


@pytest.mark.parametrize("template", ["{% if %}", 5, [{"name": "default"}]])
def test_a_broken_template_is_a_broken_checkpoint(template: Any, tmp_path: Path) -> None:
    folder = write_folder(tmp_path, config={"chat_template": template}, template=None)
    with pytest.raises(CheckpointError):
        ChatTemplate.load(folder, SPECIAL)
