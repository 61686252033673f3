"""What models write before they answer, between markers: told apart from the answer, piece by piece."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from portico.errors import ConfigError
from portico.text.plugins import plugin
from portico.text.tools import harmony
from portico.text.tools.format import ToolFormat
from portico.text.tools.source import SPACES, Source, Steps


@dataclass(frozen=True, slots=True)
class ThinkingFormat:
    """How one kind of model marks its thinking; of several spellings the first is the one that is forced."""

    name: str
    begins: tuple[str, ...]
    ends: tuple[str, ...]
    signs: tuple[str, ...] = ()
    """A chat template that has all of these belongs to a model that thinks so."""
    starts_inside: bool = False
    """Whether an answer begins with thinking though neither it nor the prompt says so."""
    frame: ToolFormat | None = None
    """The form in which such models write answers from beginning to end, what they think each time included."""

    def is_open(self, prompt_end: str) -> bool:
        """Whether an answer to a prompt with this end begins inside of the thinking."""
        return prompt_end.rstrip(SPACES).endswith(self.begins) or (self.starts_inside and not self.is_over(prompt_end))

    def is_within(self, text: str) -> bool:
        """Whether a text that an answer goes on with has begun to think and not ended it."""
        return max(map(text.rfind, self.begins)) > max(map(text.rfind, self.ends))

    def is_over(self, prompt_end: str) -> bool:
        """Whether the prompt itself has ended the thinking, so that there will be none."""
        return self.frame is None and prompt_end.rstrip(SPACES).endswith(self.ends)


_THINK = ("<think>",), ("</think>",)
FORMATS = (
    ThinkingFormat(
        "harmony", (harmony.THINKS,), (harmony.THOUGHT,), signs=harmony.HARMONY.signs, frame=harmony.HARMONY
    ),
    ThinkingFormat("seed_oss", ("<seed:think>",), ("</seed:think>",), signs=("</seed:think>",)),
    ThinkingFormat("mistral", ("[THINK]",), ("[/THINK]",), signs=("[THINK]",)),
    ThinkingFormat("kimi", ("◁think▷",), ("◁/think▷",), signs=("◁/think▷",)),
    ThinkingFormat(
        "granite",
        ("Here is my thought process:", "Here's my thought process:"),
        ("Here is my response:", "Here's my response:"),
        signs=("Here is my thought process:",),
    ),
    ThinkingFormat("qwen3", *_THINK, signs=("</think>",)),
    # The first of these models were told nothing in their template and often leave out the beginning.
    ThinkingFormat("deepseek_r1", *_THINK, starts_inside=True),
)
BY_NAME = {form.name: form for form in FORMATS}
ALIASES = {
    "deepseek-r1": "deepseek_r1",
    "default": "deepseek_r1",
    "deepseek_v3": "qwen3",
    "deepseek-v3": "qwen3",
    "glm45": "qwen3",
    "gpt-oss": "harmony",
    "openai_gptoss": "harmony",
    "holo2": "qwen3",
    "intern-s1": "qwen3",
    "olmo3": "qwen3",
    "step3": "deepseek_r1",
    "qwen-qwq": "deepseek_r1",
}


def choose(name: str, templates: Iterable[str]) -> ThinkingFormat | None:
    """The format for `--reasoning-parser NAME`: auto looks at the chat templates, none is no format.

    Other names are those of installed plug-ins or files of one's own. ConfigError for a name that stands for nothing.
    """
    if name == "none":
        return None
    if name == "auto":
        sources = list(templates)
        known = (form for form in FORMATS if form.signs)
        return next((form for form in known if any(all(s in t for s in form.signs) for t in sources)), None)
    if (form := BY_NAME.get(ALIASES.get(name, name))) is not None:
        return form
    found = plugin(name, "portico.reasoning_parsers", ThinkingFormat, "--reasoning-parser")
    if found is None:
        raise ConfigError(
            f"--reasoning-parser is {name!r}; it must be auto, none, one of {', '.join(BY_NAME)}, an installed "
            "plug-in, module:ATTRIBUTE or FILE.py:ATTRIBUTE."
        )
    return found


class ThinkingReader:
    """Takes the thinking off the start of one choice's text. However the text is split, the parts add up to the same.

    The whitespace around the markers belongs to neither part.
    """

    def __init__(self, form: ThinkingFormat, *, inside: bool, goes_on: bool = False) -> None:
        """`inside`: the prompt has begun the thinking; `goes_on`: and some of it has been thought there."""
        self._form = form
        self._goes_on = goes_on
        self._source = Source()
        self._thought: list[str] = []
        self._said: list[str] = []
        self._reading = self._read()
        self.began = inside
        """Whether there is any thinking."""
        self.over = False
        """Whether what comes now is the answer."""

    def push(self, text: str) -> tuple[str, str]:
        """What is certain, once this text is known too, to be thought and to be said, and was not given out before."""
        self._source.push(text)
        return self._go_on()

    def end(self) -> tuple[str, str]:
        """The rest, when there will be no more text."""
        self._source.ended = True
        return self._go_on()

    def _go_on(self) -> tuple[str, str]:
        next(self._reading, None)
        thought, said = "".join(self._thought), "".join(self._said)
        self._thought.clear()
        self._said.clear()
        return thought, said

    def _read(self) -> Steps[None]:
        source = self._source
        space = "" if self._goes_on else (yield from source.run(SPACES))
        for begin in self._form.begins:
            # Some models write the beginning again that stands in the prompt.
            self.began = (yield from source.take(begin)) or self.began
        if self.began:
            if not self._goes_on:
                yield from source.spaces()
            yield from self._read_thought()
            self.over = True
            yield from source.spaces()
        else:
            self.over = True
            self._said.append(space)
        yield from source.until((), self._said.append)

    def _read_thought(self) -> Steps[None]:
        """Up to the end's marker; whitespace waits for what follows it."""
        held = ""

        def think(text: str) -> None:
            nonlocal held
            text = held + text
            body = text.rstrip(SPACES)
            held = text[len(body) :]
            self._thought.append(body)

        yield from self._source.until(self._form.ends, think)
