"""What the model reads of a conversation of blocks, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken

from portico.text.model import TextModel
from tests.server.doors.messages.conftest import HI, WEATHER, post
from tests.server.harness import MODEL, LiveServer, answering, portico
from tests.server.thinker import as_new, prompt
from tests.text import folders

OFF = "<think>\n\n</think>\n\n"
CALL: Any = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Paris"}}
RESULT: Any = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "22"}


def text(said: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": said, **more}


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def read(server: LiveServer, **body: Any) -> str:
    """What the model reads, without what switches its thinking off."""
    answering(server, "ok")
    post(server, body)
    return prompt(server).removesuffix(OFF)


@pytest.mark.parametrize(
    ("system", "shown"),
    [
        (None, ""),
        ("", ""),
        ("Be kind.", "[system]Be kind."),
        ([text("Be kind.", cache_control={"type": "ephemeral"}), text("Be short.")], "[system]Be kind.\n\nBe short."),
        ([text("x-anthropic-billing-header: cc_version=2; cch=1f2e;"), text("Be kind.")], "[system]Be kind."),
        ("x-anthropic-billing-header: cch=1f2e;\n\nBe kind.", "[system]Be kind."),
        (
            [text("Be kind."), text("x-anthropic-billing-header: a")],
            "[system]Be kind.\n\nx-anthropic-billing-header: a",
        ),
    ],
)
def test_the_system_prompt(server: LiveServer, system: Any, shown: str) -> None:
    assert read(server, system=system) == f"{shown}[user]hi[assistant]"


def test_a_tool_loop(server: LiveServer) -> None:
    messages = [
        *HI,
        assistant({"type": "thinking", "thinking": "Hm.", "signature": "x"}, text("Let me see."), CALL),
        user(RESULT, text("And now?")),
    ]
    assert read(server, messages=messages, tools=[WEATHER]).endswith(
        '[user]hi[assistant]<think>Hm.</think>Let me see.<tool_call>get_weather{"city": "Paris"}</tool_call>'
        "[tool]22[user]And now?tools <tool_call> arguments[assistant]"
    )
    assert '"name": "get_weather"' in prompt(server)
    assert '"parameters": {"type": "object"' in prompt(server)


@pytest.mark.parametrize(
    ("result", "shown"),
    [
        ({"content": "22"}, "22"),
        ({"content": [text("22"), text("sunny")]}, "22\n\nsunny"),
        ({}, ""),
        ({"content": "no such city", "is_error": True}, "Error: no such city"),
    ],
)
def test_results_of_tools(server: LiveServer, result: Any, shown: str) -> None:
    block = {"type": "tool_result", "tool_use_id": "toolu_1", **result}
    messages = [*HI, assistant(CALL), user(text("Thanks."), block)]
    assert read(server, messages=messages).endswith(f"</tool_call>[tool]{shown}[user]Thanks.[assistant]")


def test_turns_of_one_role_in_a_row_are_one(server: LiveServer) -> None:
    messages = [*HI, *HI, assistant(text("a")), assistant(text("b")), *HI, {"role": "system", "content": "Be short."}]
    assert read(server, messages=messages) == "[user]hi\n\nhi[assistant]a\n\nb[user]hi[system]Be short.[assistant]"


def test_a_beginning_of_the_answer_is_continued(server: LiveServer) -> None:
    messages = [*HI, {"role": "assistant", "content": "The answer is ("}]
    assert read(server, messages=messages) == "[user]hi[assistant]The answer is ("
    assert "assistant's turn" in post(server, {"messages": [*HI, assistant(CALL)]}, 400)["error"]["message"]
    assert "assistant's turn" in post(server, {"messages": [*HI, assistant()]}, 400)["error"]["message"]


def test_thoughts_that_were_not_shown_are_read_again(server: LiveServer) -> None:
    answering(server, "<think>\nIt is 东京.\n</think>\n\nParis")
    said = post(server, {"thinking": {"type": "adaptive", "display": "omitted"}})["content"]
    assert [block["type"] for block in said] == ["thinking", "text"]
    assert said[0]["thinking"] == ""
    messages = [*HI, assistant(*said), *HI]
    assert read(server, messages=messages) == "[user]hi[assistant]<think>It is 东京.</think>Paris[user]hi[assistant]"
    redacted = {"type": "redacted_thinking", "data": "abc"}
    foreign = {"type": "thinking", "thinking": "", "signature": "EqQBCgIYAhIM"}
    assert read(server, messages=[*HI, assistant(redacted, foreign, text("a")), *HI]) == (
        "[user]hi[assistant]a[user]hi[assistant]"
    )


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"messages": []}, "messages is []"),
        ({"max_tokens": None}, "max_tokens is null"),
        ({"max_tokens": 0}, "max_tokens is 0"),
        ({"messages": [{"role": "tool", "content": "a"}]}, "messages.0.role is 'tool'"),
        ({"messages": [{"role": ["user"], "content": "a"}]}, "messages.0.role is ['user']"),
        ({"messages": [{"role": "user"}]}, "messages.0.content is None"),
        ({"messages": [user("a")]}, "messages.0.content.0.type is None"),
        (
            {"messages": [user({"type": "image", "source": {}})]},
            "messages.0.content.0.type is 'image'; here it must be",
        ),
        ({"messages": [user({"type": "document", "source": {}})]}, "this model reads text alone"),
        ({"messages": [user(CALL)]}, "messages.0.content.0.type is 'tool_use'"),
        ({"messages": [user(RESULT)]}, "messages.0.content.0.tool_use_id is 'toolu_1', and no tool_use before it"),
        ({"messages": [user({"type": "text"})]}, "messages.0.content.0.text is None"),
        ({"messages": [*HI, assistant({**CALL, "input": "a"})]}, "messages.1.content.0.input is 'a'"),
        ({"messages": [*HI, assistant(CALL), user({**RESULT, "content": [{"type": "image"}]})]}, "content.0.content.0"),
        ({"system": [{"type": "image"}]}, "system.0.type is 'image'"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools.0.type is 'web_search_20250305'"),
        ({"tools": [{"name": "f"}]}, "tools.0.input_schema is missing"),
        ({"tools": [{**WEATHER, "name": "a b"}]}, "tools.0.name is 'a b'"),
        ({"tools": [{**WEATHER, "input_schema": {"type": "string"}}]}, "tools.0.input_schema.type is 'string'"),
        ({"tools": [WEATHER], "tool_choice": {"type": "tool", "name": "g"}}, "tool_choice.name is 'g'"),
        ({"tool_choice": {"type": "any"}}, "tool_choice is only allowed with tools"),
        ({"tools": [WEATHER], "tool_choice": {"type": "tool"}}, "tool_choice is {'type': 'tool'}"),
        ({"stop_sequences": ["a" * place for place in range(1, 18)]}, "stop_sequences is 17"),
        ({"stop_sequences": [""]}, "stop_sequences is ''"),
        ({"temperature": 3}, "temperature is 3"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens is missing"),
        ({"thinking": {"type": "enabled", "budget_tokens": 0}}, "thinking.budget_tokens is 0"),
        ({"thinking": {"type": "adaptive", "budget_tokens": 9}}, "thinking.budget_tokens is only allowed"),
        ({"thinking": {"type": "on"}}, "thinking.type"),
        ({"output_config": {"format": {"type": "xml"}}}, "output_config.format is"),
        ({"mcp_servers": [{"url": "http://a"}]}, "mcp_servers is not supported"),
        ({"thread": {"type": "create"}}, "thread is not supported"),
        ({"container": "c"}, "container is not supported"),
    ],
)
def test_what_is_refused_is_named(server: LiveServer, body: dict[str, Any], said: str) -> None:
    error = post(server, body, 400)
    assert (error["type"], error["error"]["type"]) == ("error", "invalid_request_error")
    assert said in error["error"]["message"]
    assert not server.engine.added


def test_what_has_no_effect_is_named(server: LiveServer) -> None:
    answering(server, "ok")
    body = {
        "model": MODEL,
        "max_tokens": 9,
        "messages": HI,
        "metadata": {"user_id": "u"},
        "service_tier": "auto",
        "cache_control": {"type": "ephemeral"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "tools": [{**WEATHER, "type": "custom", "defer_loading": True, "cache_control": {"type": "ephemeral"}}],
    }
    headers = {"anthropic-version": "2023-06-01", "anthropic-beta": "context-management-2025-06-27,new-2030-01-01"}
    answer = server.http().post("/v1/messages?beta=true", json=body, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["x-portico-ignored"] == "context_management, tools.0.defer_loading"


@pytest.mark.parametrize(
    ("thinking", "end", "limit"),
    [
        (None, OFF, None),
        ({"type": "disabled"}, OFF, None),
        ({"type": "adaptive"}, "[assistant]", None),
        ({"type": "enabled", "budget_tokens": 2000}, "[assistant]", 2000),
    ],
)
def test_thinking_is_switched(server: LiveServer, thinking: Any, end: str, limit: int | None) -> None:
    answering(server, "ok")
    post(server, {"thinking": thinking})
    assert prompt(server).endswith(end)
    given = server.engine.added[-1].params.thinking
    assert (given and given.budget) == limit


@pytest.mark.parametrize(
    ("thinking", "budget"), [(None, None), ({"type": "disabled"}, 0), ({"type": "adaptive"}, None)]
)
def test_thinking_that_no_template_can_switch(tmp_path: Path, thinking: Any, budget: int | None) -> None:
    tokenizer = folders.byte_level()
    tokenizer.add_tokens([AddedToken("</think>", special=False, normalized=False)])
    template = "{% for message in messages %}{{ message.content }}{% endfor %}<think>\n{# </think> #}"
    with portico(TextModel.load(folders.write_folder(tmp_path, tokenizer, template=template))) as server:
        as_new(server)
        answering(server, "Hm.\n</think>\n\nParis")
        content = post(server, {"thinking": thinking})["content"]
        given = server.engine.added[-1].params.thinking
    assert (given and given.budget) == budget
    # The engine of this test goes on thinking all the same.
    assert [block["type"] for block in content] == (["text"] if budget == 0 else ["thinking", "text"])


@pytest.mark.parametrize(("effort", "shown"), [("low", "low"), ("max", "xhigh"), (None, "")])
def test_effort_is_for_templates_that_know_it(tmp_path: Path, effort: str | None, shown: str) -> None:
    template = "{% for message in messages %}{{ message.content }}{% endfor %}[{{ reasoning_effort }}]"
    with portico(TextModel.load(folders.write_folder(tmp_path, folders.byte_level(), template=template))) as server:
        as_new(server)
        answering(server, "ok")
        answer = server.http().post(
            "/v1/messages",
            json={
                "model": MODEL,
                "max_tokens": 5,
                "messages": HI,
                "thinking": {"type": "adaptive"},
                "output_config": {"effort": effort},
            },
        )
        assert prompt(server) == f"hi[{shown}]"
    assert answer.headers["x-portico-ignored"] == "thinking"


def test_how_answers_are_drawn(server: LiveServer) -> None:
    answering(server, "ok")
    post(server, {"temperature": 0.5, "top_p": 0.9, "top_k": 7, "seed": 3, "max_tokens": 11})
    params = server.engine.added[-1].params
    assert (params.temperature, params.top_p, params.top_k, params.seed, params.max_tokens) == (0.5, 0.9, 7, 3, 11)
    schema = {"type": "json_schema", "schema": {"type": "object", "properties": {"a": {"type": "integer"}}}}
    post(server, {"output_config": {"format": schema}})
    held = server.engine.added[-1].params.grammar
    assert held is not None
    assert '"a"' in held.text
    post(server, {"output_format": schema})
    assert server.engine.added[-1].params.grammar == held


def test_tokens_are_counted_as_they_are_read(server: LiveServer) -> None:
    body: Any = {
        "system": "Be kind.",
        "messages": [*HI, assistant(CALL), user(RESULT)],
        "tools": [WEATHER],
        "thinking": {"type": "adaptive"},
        "max_tokens": 5,
    }
    answering(server, "ok")
    asked = {name: value for name, value in body.items() if name != "max_tokens"}
    count = server.http().post("/v1/messages/count_tokens", json={"model": MODEL, **asked}).json()
    assert not server.engine.added
    usage = post(server, body)["usage"]
    assert count == {"input_tokens": usage["input_tokens"] + usage["cache_read_input_tokens"]}
    assert count["input_tokens"] == len(server.engine.added[-1].prompt_ids)
