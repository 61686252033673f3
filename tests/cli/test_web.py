"""`portico serve gradio`, where LMDeploy's documents have it."""

from __future__ import annotations

import pytest

from portico.cli.web import GRADIO, make_parser


@pytest.mark.parametrize(
    ("words", "place"),
    [
        (["http://localhost:23333"], ("0.0.0.0", 6006)),
        (["http://localhost:23333", "--server-name", "localhost", "--server-port", "7007"], ("localhost", 7007)),
    ],
)
def test_the_page_listens_where_lmdeploys_does(words: list[str], place: tuple[str, int]) -> None:
    parsed = make_parser("portico serve gradio", *GRADIO).parse_args(words)
    assert (parsed.partner, parsed.host, parsed.port) == (words[0], *place)
