"""Whatever a model writes: every reader of it ends, and takes steps in proportion to the text."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.client.api import APIClient
from portico.text.stops import StopFinder
from portico.text.thinking import FORMATS, ThinkingFormat, ThinkingReader
from portico.text.tools.reader import ToolReader
from tests.fuzz.effort import some
from tests.text.tools.written import TOOLBOX, WRITTEN, Written

CHARACTERS = "<[{(\"'\\ \n,:=`a}]>|#*-/"
PIECE = 7
"""Characters that come at a time, about as many as a token has."""
each = pytest.mark.parametrize("written", WRITTEN.values(), ids=WRITTEN)


def steps(work: Callable[[], Any]) -> int:
    """Lines of Python that a piece of work runs, and the characters that they slice: neither depends on the machine."""
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        count += 1
        return trace

    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(None)
    return count


def parse(written: Written, text: str, piece: int) -> None:
    reader = ToolReader(written.form, TOOLBOX)
    for start in range(0, len(text), piece):
        reader.push(text[start : start + piece])
    reader.end()


@each
def test_twice_the_text_takes_about_twice_the_steps(written: Written) -> None:
    begun = written.write([("f", {"city": "x"})])
    for unit in (*'<[{"\\', *dict.fromkeys(written.fragments)):
        for before in ("", begun[: len(begun) // 2]):
            once, twice = (before + (unit * size)[:size] for size in (150, 300))
            few, many = (steps(lambda text=text: parse(written, text, PIECE)) for text in (once, twice))  # type: ignore[misc]
            assert many < 3 * few + 2000, (unit, before)


@each
def test_a_long_text_of_anything_is_read(written: Written) -> None:
    for unit in ("<", "[", "{", written.fragments[0]):
        parse(written, (unit * 2**15)[: 2**15], PIECE)


@each
@some
@given(text=st.text(max_size=300), bits=st.data())
def test_any_text_is_read(written: Written, text: str, bits: st.DataObject) -> None:
    marks = st.sampled_from([*written.fragments, *CHARACTERS, "\ud800", "\x00"])
    said = "".join(bits.draw(st.lists(marks | st.text(max_size=4), max_size=40)))
    parse(written, said + text, bits.draw(st.integers(1, 50)))


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
@some
@given(data=st.data())
def test_any_thinking_is_read(form: ThinkingFormat, data: st.DataObject) -> None:
    marks = st.sampled_from([*form.begins, *form.ends, *CHARACTERS])
    pieces = data.draw(st.lists(marks | st.text(max_size=5), max_size=40))
    reader = ThinkingReader(form, inside=data.draw(st.booleans()))
    for piece in pieces:
        reader.push(piece)
    reader.end()


def test_stop_strings_that_nearly_come_take_steps_in_proportion() -> None:
    stops = ["a" * 4095 + "b"] * 16

    def search(size: int) -> int:
        finder = StopFinder(stops)
        return steps(lambda: [finder.push("a" * PIECE) for _ in range(size // PIECE)])

    assert search(8_000) < 3 * search(4_000)


@pytest.mark.filterwarnings("ignore:not JSON")
@some
@given(st.lists(st.binary(max_size=60) | st.sampled_from([b"data: ", b"\n", b"\n\n", b"{", b"[DONE]", b'{"text": 1}'])))
def test_any_stream_is_an_end_or_a_value_error_to_our_client(parts: list[bytes]) -> None:
    client = APIClient("http://server")
    client._http = httpx.Client(
        base_url="http://server",
        transport=httpx.MockTransport(lambda request: httpx.Response(200, content=b"".join(parts))),
    )
    try:
        for _ in client.completions_v1("model", "prompt", stream=True):
            pass
    except ValueError:
        pass
    finally:
        client.close()
