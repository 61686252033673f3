"""`python -m portico.server.doors.responses.reference`: the door's parameters as a Markdown page, from its schema."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel

from portico.server.doors.responses.schema import CreateResponse, ReasoningWish, StreamWish, TextWish

HEAD = """# Parameters of the Responses API

Made from the schema by `make reference`, of `POST /v1/responses`: [responses.md](responses.md).
A parameter that is left out or null has its default.

| parameter | meaning, range, default |
|---|---|
"""
INNER: dict[str, type[BaseModel]] = {"reasoning": ReasoningWish, "stream_options": StreamWish, "text": TextWish}


def reference() -> str:
    """The page."""
    return HEAD + "".join(f"{row}\n" for row in _rows())


def _rows() -> Iterator[str]:
    for name, field in sorted(CreateResponse.model_fields.items()):
        yield f"| `{name}` | {field.description} |"
        inner = INNER[name].model_fields if name in INNER else {}
        for part, inner_field in inner.items():
            yield f"| `{name}.{part}` | {inner_field.description} |"


if __name__ == "__main__":
    print(reference(), end="")  # noqa: T201
