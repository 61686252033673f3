"""Checks that every major version of the openai package passes: `python tests/clients/openai_versions.py URL`.

Plain assertions without pytest: the package of the day is all that its environment has.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import openai

MODEL = "portico-demo"
QUESTION = "What is the current weather in Boston, MA?"
FUNCTION: Any = {
    "name": "get_current_weather",
    "description": "Get the current weather in a given location",
    "parameters": {"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]},
}
BOSTON = {"location": "Boston, MA"}


def chat(client: openai.OpenAI) -> None:
    """An answer whole and streamed, with usage."""
    asked: Any = {"model": MODEL, "messages": [{"role": "user", "content": "What is the capital of France?"}]}
    whole = client.chat.completions.create(temperature=0, **asked)
    text, usage = "", None
    for chunk in client.chat.completions.create(
        temperature=0, stream=True, stream_options={"include_usage": True}, **asked
    ):
        text += "".join(choice.delta.content or "" for choice in chunk.choices)
        usage = chunk.usage or usage
    assert text == whole.choices[0].message.content
    assert "Paris" in text
    assert usage is not None
    assert usage.completion_tokens == whole.usage.completion_tokens  # type: ignore[union-attr]


def tools(client: openai.OpenAI) -> None:
    """A call, streamed too, and the answer from its result."""
    messages: Any = [{"role": "user", "content": QUESTION}]
    asked: Any = {"model": MODEL, "temperature": 0, "tools": [{"type": "function", "function": FUNCTION}]}
    message: Any = client.chat.completions.create(messages=messages, **asked).choices[0].message
    [call] = message.tool_calls
    assert json.loads(call.function.arguments) == BOSTON
    deltas = [
        chunk.choices[0].delta for chunk in client.chat.completions.create(messages=messages, stream=True, **asked)
    ]
    assert (
        "".join(part.function.arguments for delta in deltas for part in delta.tool_calls or ())
        == call.function.arguments
    )
    messages += [message, {"role": "tool", "tool_call_id": call.id, "content": '{"temperature": 22}'}]
    assert "22" in client.chat.completions.create(messages=messages, **asked).choices[0].message.content  # type: ignore[operator]


def errors(client: openai.OpenAI) -> None:
    """What is wrong comes as the exception that it is."""
    code = None
    try:
        client.chat.completions.create(model="other", messages=[{"role": "user", "content": "x"}])
    except openai.NotFoundError as error:
        code = error.code
    assert code == "model_not_found"


def others(client: openai.OpenAI) -> None:
    """Models, completions, embeddings."""
    assert MODEL in [model.id for model in client.models.list()]
    assert client.completions.create(model=MODEL, prompt="Once", max_tokens=4).choices[0].text
    assert len(client.embeddings.create(model=MODEL, input=["a", "b"]).data) == 2


def responses(client: openai.OpenAI) -> None:
    """Text, streams, tools and what is kept, where the version has them."""
    if not hasattr(client, "responses"):
        return
    asked: Any = {"model": MODEL, "temperature": 0}
    first = client.responses.create(input="My name is Clara.", **asked)
    text = ""
    for event in client.responses.create(input="What is my name?", previous_response_id=first.id, stream=True, **asked):
        text += event.delta if event.type == "response.output_text.delta" else ""
        last = event
    assert last.type == "response.completed"
    assert last.response.output_text == text
    assert "Clara" in text
    assert client.responses.retrieve(last.response.id).output_text == text
    listed: Any = list(client.responses.input_items.list(last.response.id, order="asc"))
    assert [item.content[0].text for item in listed] == ["My name is Clara.", first.output_text, "What is my name?"]
    offered: Any = [{"type": "function", **FUNCTION}]
    call: Any = client.responses.create(input=QUESTION, tools=offered, **asked).output[0]
    assert json.loads(call.arguments) == BOSTON
    client.responses.delete(first.id)
    code = None
    try:
        client.responses.retrieve(first.id)
    except openai.NotFoundError as error:
        code = error.code
    assert code == "response_not_found"


def main() -> None:
    """Run all checks against the server at the URL that is given."""
    client = openai.OpenAI(base_url=sys.argv[1], api_key="unused", max_retries=0, timeout=60)
    checks = (chat, tools, errors, others, responses)
    for check in checks:
        check(client)
    sys.stdout.write(f"openai {openai.__version__}: {', '.join(check.__name__ for check in checks)}\n")


if __name__ == "__main__":
    main()
