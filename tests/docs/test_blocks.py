"""Which blocks are found in a page, and what counts as the output that it shows."""

from __future__ import annotations

import pytest

from tests.docs.blocks import blocks, commands, is_like

PAGE = """
Indented:

    curl x \\
      -d y

- in a list:

      portico serve MODEL  # a server
      # nothing

<!-- not run: it takes
hours -->
```sh
make train
```

<!-- typed: hello\\nexit -->
```sh
portico client URL
```
```text
hello …
```

Prose, with `code`.

```text
not an output
```
"""


def test_blocks() -> None:
    indented, listed, marked, typed, output, shown = blocks(PAGE)
    assert (indented.language, indented.line) == ("sh", 4)
    assert commands(indented.code) == ["curl x    -d y"]
    assert listed.servers == ["portico serve MODEL"]
    assert (marked.not_run, marked.servers, marked.code) == ("it takes\nhours", [], "make train\n")
    assert (typed.typed, typed.shows, typed.not_run) == ("hello\nexit", "hello …\n", "")
    assert (output.language, output.shows, shown.shows) == ("text", "", "")


@pytest.mark.parametrize(
    ("output", "shown", "alike"),
    [
        ("one\ntwo\nthree\n", "one\n…\nthree", True),
        ("one\ntwo\nthree\n", "one … three", False),
        ("it took 0.3 s.\n", "it took … s.", True),
        ("it took 0.3 s.\n", "it took 0.4 s.", False),
        ("anything", "", True),
        ("a.b", "a+b", False),
    ],
)
def test_likeness(output: str, shown: str, alike: bool) -> None:
    assert is_like(output, shown) is alike
