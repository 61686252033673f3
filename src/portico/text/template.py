"""The model's chat template: messages in, one prompt text out, laid out exactly as transformers does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.meta import find_undeclared_variables

from portico.errors import CheckpointError, RequestError
from portico.protocol.request import Layout
from portico.text.messages import Taste, plain_message, text_of
from portico.text.sandbox import TemplateEnvironment, render
from portico.text.tokenizer import SpecialTokens
from portico.text.trial import Trial, tried
from portico.weights.files import read_json, read_text

MAX_REQUEST_TEMPLATE = 256 * 1024
"""Characters of a template that comes with a request; the longest that models have are a tenth of that."""
REQUEST_TEMPLATES_KEPT = 16
TRIAL_SECONDS = 0.2
"""Processor time for a trial, which takes less than a thousandth."""
RESERVED = frozenset(
    {"messages", "tools", "documents", "add_generation_prompt", "continue_final_message", "chat_template", "tokenize"}
)
"""Names that a request's further variables cannot have: each has a field of its own, or none."""
_MARK = "\ue000the message goes on here\ue001 "  # of private characters: no text has it


@dataclass(frozen=True, slots=True)
class _Compiled:
    template: jinja2.Template
    trial: Trial
    reads: frozenset[str]
    """The variables that it looks at."""


class ChatTemplate:
    """The compiled templates of one model; safe to use from several threads."""

    def __init__(
        self,
        sources: Mapping[str, str],
        special: SpecialTokens,
        *,
        trust_requests: bool = False,
        where: str = "this model",
    ) -> None:
        """`sources` by name, "default" being what is used without one; `trust_requests` lets requests bring theirs.

        `where` they are from, for people. Raises CheckpointError for a source that is no template.
        """
        self.sources = tuple(sources.values())
        self._environment = TemplateEnvironment()
        # Undefined, not none, where the model has no such token: so do templates test it in transformers.
        self._tokens = {name: value for name in special.__slots__ if (value := getattr(special, name)) is not None}
        self._trust_requests = trust_requests
        self._templates: dict[str, _Compiled] = {}
        for name, source in sources.items():
            try:
                self._templates[name] = self._compile(source)
            except (jinja2.TemplateError, RecursionError) as error:
                raise CheckpointError(f"The chat template {name!r} of {where} cannot be compiled: {error}.") from error
        self._compile_request = lru_cache(REQUEST_TEMPLATES_KEPT)(self._compile)

    @classmethod
    def load(
        cls,
        folder: str | Path,
        special: SpecialTokens,
        *,
        source: str | None = None,
        fallback: str | None = None,
        trust_requests: bool = False,
    ) -> ChatTemplate:
        """The templates of a model folder, or `source` in their place; where there are none, `fallback` if any."""
        sources = template_sources(Path(folder)) if source is None else {"default": source}
        if not sources and fallback is not None:
            sources = {"default": fallback}
        where = str(folder) if source is None else "--chat-template"
        return cls(sources, special, trust_requests=trust_requests, where=where)

    @property
    def available(self) -> bool:
        """Whether there is any."""
        return bool(self._templates)

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None = None,
        layout: Layout | None = None,
    ) -> str:
        """The prompt text; RequestError if there is no template or it refuses these messages."""
        layout = layout or Layout()
        if layout.continue_final_message and layout.add_generation_prompt:
            raise RequestError(
                "continue_final_message and add_generation_prompt are both true: a prompt ends either within the last "
                "message or with the beginning of another. Set add_generation_prompt to false.",
                param="continue_final_message",
                code="invalid_value",
            )
        _check_variables(layout.variables)
        chosen = self._choose(tools, layout.template)
        plain = [plain_message(index, message, chosen.trial.taste) for index, message in enumerate(messages)]
        if not layout.continue_final_message:
            return self._run(chosen.template, plain, tools, layout)
        final = _mark(plain[-1])
        return _cut_at_mark(self._run(chosen.template, plain, tools, layout), final)

    def variables(self, tools: Sequence[Mapping[str, Any]] | None, layout: Layout) -> frozenset[str]:
        """What the template for such a prompt can be told, messages and tools among it; RequestError if none is."""
        return self._choose(tools, layout.template).reads

    def check_tools(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] | None, layout: Layout
    ) -> None:
        """RequestError if the model would not see the tools, calls of them, or what they gave back.

        `render` leaves out in silence what the template has no place for, as transformers does.
        """
        chosen = self._choose(tools, layout.template)
        chosen.trial.check(messages)
        if tools and "tools" not in chosen.reads:
            raise RequestError(
                "This model's chat template has no place for tools; leave tools out.",
                param="tools",
                code="unsupported_parameter",
            )

    def _run(
        self,
        template: jinja2.Template,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None,
        layout: Layout,
    ) -> str:
        try:
            return render(template, self._values(messages, tools, layout))
        except RequestError:
            raise
        except Exception as error:  # a template is a program: on messages it was not made for it raises anything
            raise RequestError(
                f"The chat template refused the messages: {error}", param="messages", code="invalid_value"
            ) from error

    def _values(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] | None, layout: Layout
    ) -> dict[str, Any]:
        return {
            **self._tokens,
            **layout.variables,
            "messages": messages,
            "tools": tools or None,
            "documents": layout.documents,
            "add_generation_prompt": layout.add_generation_prompt,
        }

    def _choose(self, tools: Sequence[Mapping[str, Any]] | None, asked: str | None) -> _Compiled:
        """As transformers does: the one asked for by name, else `tool_use` if there are tools, else `default`."""
        if asked is not None and asked not in self._templates:
            return self._of_request(asked)
        names = [asked] if asked is not None else [*(["tool_use"] if tools else []), "default"]
        for name in names:
            if name in self._templates:
                return self._templates[name]
        if self._templates:
            known = ", ".join(map(repr, sorted(self._templates)))
            raise RequestError(
                f"This model has several chat templates and none is the default: set chat_template to one of {known}.",
                param="chat_template",
                code="missing_required_parameter",
            )
        raise RequestError(
            "This model has no chat template, so it takes no messages; use /v1/completions with a prompt, or start "
            "the server with --chat-template.",
            param="messages",
            code="no_chat_template",
        )

    def _of_request(self, source: str) -> _Compiled:
        if not self._trust_requests:
            known = f" or the name of one of the model's ({', '.join(sorted(self._templates))})" * (
                len(self._templates) > 1
            )
            raise RequestError(
                "chat_template: this server does not run templates of requests; leave it out"
                f"{known}, or start the server with --trust-request-chat-template.",
                param="chat_template",
                code="unsupported_parameter",
            )
        if len(source) > MAX_REQUEST_TEMPLATE:
            raise RequestError(
                f"chat_template has {len(source)} characters; at most {MAX_REQUEST_TEMPLATE} are allowed.",
                param="chat_template",
                code="invalid_value",
            )
        try:
            return self._compile_request(source)
        except (jinja2.TemplateError, RecursionError, MemoryError, SyntaxError) as error:
            raise RequestError(
                f"chat_template cannot be compiled: {error}.", param="chat_template", code="invalid_value"
            ) from error

    def _compile(self, source: str) -> _Compiled:
        template = self._environment.from_string(source)
        tree = self._environment.parse(source)
        taste = Taste(parts=_loops_over_content(tree), developer="developer" in source)
        reads = frozenset(find_undeclared_variables(tree))

        def lay_out(messages: Sequence[Mapping[str, Any]]) -> str:
            return render(template, self._values(messages, None, Layout()), seconds=TRIAL_SECONDS)

        return _Compiled(template, tried(source, taste, lay_out), reads)


def template_sources(folder: Path) -> dict[str, str]:
    """A model folder's templates by name; files come before what tokenizer_config.json says, as in transformers."""
    sources: dict[str, str] = {}
    text = read_text(folder / "chat_template.jinja")
    if text is not None:
        sources["default"] = text
    for path in sorted((folder / "additional_chat_templates").glob("*.jinja")):
        sources[path.stem] = read_text(path) or ""
    if sources:
        return sources
    for name in ("tokenizer_config.json", "chat_template.json"):
        value = read_json(folder / name).get("chat_template")
        if value is not None:
            return _named(value, str(folder / name))
    return {}


def _named(value: Any, where: str) -> dict[str, str]:
    if isinstance(value, str):
        return {"default": value}
    try:
        return {str(item["name"]): str(item["template"]) for item in value}
    except (TypeError, KeyError) as error:
        raise CheckpointError(f"chat_template of {where} is neither a string nor a list of named templates.") from error


def _check_variables(variables: Mapping[str, Any]) -> None:
    wrong = next((name for name in variables if name in RESERVED), None)
    if wrong is None:
        return
    right = "it has no meaning here" if wrong == "tokenize" else "it is a field of the request itself"
    raise RequestError(
        f"chat_template_kwargs has {wrong!r}; {right}.", param=f"chat_template_kwargs.{wrong}", code="invalid_value"
    )


def _mark(message: dict[str, Any]) -> str:
    """Put the mark behind the message's text, and return the text."""
    text = text_of(message)
    if not text:
        raise RequestError(
            "continue_final_message is true, but the last message has no text to go on with.",
            param="continue_final_message",
            code="invalid_value",
        )
    content = message["content"]
    if isinstance(content, str):
        message["content"] = content + _MARK
        return content
    last = max(place for place, part in enumerate(content) if "text" in part)
    message["content"] = [
        {**part, "text": part["text"] + _MARK} if place == last else part for place, part in enumerate(content)
    ]
    return str(content[last]["text"])


def _cut_at_mark(prompt: str, final: str) -> str:
    """The prompt up to the mark; a template that strips messages has stripped the mark's space, and so the text's."""
    place = prompt.rfind(_MARK.strip())
    if place < 0 or final.strip() not in prompt:
        raise RequestError(
            "continue_final_message is true, but the chat template does not write the last message as it is.",
            param="continue_final_message",
            code="invalid_value",
        )
    return prompt[:place] if prompt.startswith(_MARK, place) else prompt[:place].rstrip()


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
