"""The model's chat template: messages in, one prompt text out, laid out exactly as transformers does."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.meta import find_undeclared_variables
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from portico.errors import CheckpointError, RequestError
from portico.text.files import read_json, read_text
from portico.text.tokenizer import SpecialTokens


class ChatTemplate:
    """The compiled templates of one model; safe to use from several threads."""

    def __init__(self, sources: Mapping[str, str], special: SpecialTokens) -> None:
        environment = _environment()
        self.sources = tuple(sources.values())
        self._templates: dict[str, jinja2.Template] = {}
        for name, source in sources.items():
            try:
                self._templates[name] = environment.from_string(source)
            except jinja2.TemplateError as error:
                raise CheckpointError(f"The model's chat template cannot be compiled: {error}.") from error
        # Undefined, not none, where the model has no such token: so do templates test it in transformers.
        self._tokens = {name: value for name in special.__slots__ if (value := getattr(special, name)) is not None}
        self._reads_parts = any(_loops_over_content(environment.parse(source)) for source in sources.values())
        trees = [environment.parse(source) for source in sources.values()]
        self.variables = frozenset[str]().union(*map(find_undeclared_variables, trees))
        """What the templates can be told besides messages and tools."""
        self._knows_developer = any("developer" in source for source in sources.values())

    @classmethod
    def load(cls, folder: str | Path, special: SpecialTokens) -> ChatTemplate:
        """Read chat_template.jinja, else chat_template of tokenizer_config.json; a model may have neither."""
        folder = Path(folder)
        text = read_text(folder / "chat_template.jinja")
        if text is not None:
            return cls({"default": text}, special)
        value = read_json(folder / "tokenizer_config.json").get("chat_template")
        if value is None:
            return cls({}, special)
        if isinstance(value, str):
            return cls({"default": value}, special)
        try:
            return cls({str(item["name"]): str(item["template"]) for item in value}, special)
        except (TypeError, KeyError) as error:
            raise CheckpointError(
                "chat_template of tokenizer_config.json is neither a string nor a list of named templates."
            ) from error

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None = None,
        variables: Mapping[str, Any] = MappingProxyType({}),
        *,
        add_generation_prompt: bool = True,
    ) -> str:
        """The prompt text; RequestError if there is no template or it refuses these messages.

        `variables` are for the template alone; those that it has anyway come before them.
        """
        template = self._choose(tools)
        try:
            own = dict(
                messages=[self._message(index, message) for index, message in enumerate(messages)],
                tools=tools,
                documents=None,
                add_generation_prompt=add_generation_prompt,
                **self._tokens,
            )
            return template.render({**variables, **own})
        except RequestError:
            raise
        except Exception as error:  # a template is a program: on messages it was not made for it raises anything
            raise RequestError(
                f"The model's chat template refused the messages: {error}", param="messages", code="invalid_value"
            ) from error

    def check_tools(self) -> None:
        """RequestError if the template has no place for tools, so that the model would never see them."""
        if self._templates and "tools" not in self.variables:
            raise RequestError(
                "This model's chat template has no place for tools; leave tools out.",
                param="tools",
                code="unsupported_parameter",
            )

    def _choose(self, tools: Sequence[Mapping[str, Any]] | None) -> jinja2.Template:
        names = ("tool_use", "default") if tools else ("default",)
        for name in names:
            if name in self._templates:
                return self._templates[name]
        raise RequestError(
            "This model has no chat template, so it takes no messages; use /v1/completions with a prompt.",
            param="messages",
            code="no_chat_template",
        )

    def _message(self, index: int, message: Mapping[str, Any]) -> dict[str, Any]:
        """A message as templates expect it: content a string where they want one, arguments an object."""
        plain = dict(message)
        if plain.get("role") == "developer" and not self._knows_developer:
            plain["role"] = "system"  # the name for the same thing that templates older than 2025 know
        content = plain.get("content")
        if isinstance(content, Sequence) and not isinstance(content, str):
            texts = [_part_text(part, f"messages.{index}.content.{place}") for place, part in enumerate(content)]
            plain["content"] = list(content) if self._reads_parts else "".join(texts)
        elif content is None:
            # Templates tell a message that is only tool calls by content being none; all others add strings.
            plain["content"] = None if plain.get("tool_calls") else ""
        thought = plain.get("reasoning_content") or plain.get("reasoning")
        if thought:  # servers and templates have two names for it
            plain["reasoning_content"] = plain["reasoning"] = thought
        if plain.get("tool_calls"):
            plain["tool_calls"] = [_tool_call(call) for call in plain["tool_calls"]]
        return plain


def _part_text(part: Any, where: str) -> str:
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind != "text":
        raise RequestError(
            f"{where}.type is {kind!r}; this model reads only parts of type 'text'.",
            param=f"{where}.type",
            code="unsupported_content",
        )
    text = part.get("text")
    if not isinstance(text, str):
        raise RequestError(f"{where}.text must be a string.", param=f"{where}.text", code="invalid_value")
    return text


def _tool_call(call: Mapping[str, Any]) -> dict[str, Any]:
    """OpenAI sends a call's arguments as JSON text; templates print them as an object. Broken JSON stays as it is."""
    function = call.get("function")
    if not isinstance(function, Mapping) or not isinstance(function.get("arguments"), str):
        return dict(call)
    try:
        arguments = json.loads(function["arguments"] or "{}")
    except ValueError:
        return dict(call)
    return {**call, "function": {**function, "arguments": arguments}}


class _GenerationTag(Extension):
    """Renders the body of ``{% generation %}``, which marks an assistant's tokens for training, as if unmarked."""

    tags = {"generation"}  # noqa: RUF012 - jinja2 reads this name

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Dict:
    """`dict` for templates: callable, with nothing else of the type to be reached."""

    def __call__(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        return dict(*args, **kwargs)

    def fromkeys(self, *args: Any) -> dict[Any, Any]:
        return dict.fromkeys(*args)


class _Namespace(jinja2.utils.Namespace):
    """`namespace` for templates, without names that could stand for the object's own workings (``__class__``)."""

    def __init__(*args: Any, **kwargs: Any) -> None:  # no named self: a template may use that name
        attributes = dict(*args[1:], **kwargs)
        for name in attributes:
            _refuse_private(name)
        jinja2.utils.Namespace.__init__(args[0], attributes)

    def __setitem__(self, name: str, value: Any) -> None:
        _refuse_private(name)
        super().__setitem__(name, value)


def _refuse_private(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise SecurityError(f"a namespace cannot hold {name!r}")


def _environment() -> ImmutableSandboxedEnvironment:
    """The environment of transformers' apply_chat_template: a template comes with a model, so it is not trusted."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationTag, loopcontrols]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = _strftime_now
    environment.globals["dict"] = _Dict()
    environment.globals["namespace"] = _Namespace
    return environment


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    # Jinja's own filter escapes <, > and & for HTML, which no model has learned.
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise_exception(message: str) -> None:
    raise RequestError(message, param="messages", code="invalid_messages")


def _strftime_now(pattern: str) -> str:
    return datetime.now().strftime(pattern)


def _loops_over_content(tree: nodes.Template) -> bool:
    """Whether the template walks through a message's content parts itself."""
    return any(_is_content(loop.iter) for loop in tree.find_all(nodes.For))


def _is_content(node: nodes.Node) -> bool:
    if isinstance(node, nodes.Getattr):
        return node.attr == "content"
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        return bool(node.arg.value == "content")
    if isinstance(node, nodes.Filter) and node.node is not None:
        return _is_content(node.node)
    return isinstance(node, nodes.Name) and node.name == "content"
