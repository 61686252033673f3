"""`portico chat` in a real pseudo-terminal, read as a person would: from the screen."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pyte
import pytest

from tests.client.scripted import Scripted, scripted

COMMAND = [sys.executable, "-m", "portico.cli.main", "chat"]


class Terminal:
    """A program in a terminal of some size."""

    def __init__(self, *arguments: str, columns: int = 80, lines: int = 24) -> None:
        self.screen = pyte.HistoryScreen(columns, lines, history=5000)
        self._stream = pyte.Stream(self.screen)
        self.process = pexpect.spawn(
            COMMAND[0], [*COMMAND[1:], *arguments], encoding="utf-8", timeout=60, dimensions=(lines, columns),
            env={**os.environ, "TERM": "xterm-256color"},
        )  # fmt: skip
        self.process.setecho(False)

    def text(self) -> str:
        """All that is on the screen and above it."""
        above = ["".join(row[x].data for x in range(self.screen.columns)) for row in self.screen.history.top]
        return "\n".join(line.rstrip() for line in (*above, *self.screen.display))

    def until(self, pattern: str, times: int = 1) -> str:
        """Read until the screen shows it so many times."""
        end = time.monotonic() + 60
        while len(re.findall(pattern, self.text())) < times:
            assert time.monotonic() < end, f"{pattern!r} did not come:\n{self.text()}"
            output = self.process.read_nonblocking(65536, timeout=25)
            # Where the cursor is: prompt_toolkit asks, a terminal tells.
            for _ in range(output.count("\x1b[6n")):
                self.process.send(f"\x1b[{self.screen.cursor.y + 1};1R")
            self._stream.feed(re.sub(r"\x1b\[\?2026[hl]|\x1b\[[>?]\d*(;\d+)*[umc]", "", output))
        return self.text()

    def say(self, text: str) -> None:
        self.until(r"> /help\s*$")
        self.process.send(text + "\r")

    def leave(self) -> int:
        self.until(r"> /help\s*$")
        self.process.send("\x04")
        self.process.expect(pexpect.EOF)
        self.process.close()
        status: int = self.process.exitstatus
        return status


@pytest.fixture
def server() -> Iterator[Scripted]:
    with scripted() as running:
        yield running


def test_the_bundled_model_answers_saves_and_forgets(tmp_path: Path) -> None:
    terminal = Terminal("--temperature", "0", "--threads", "1")
    terminal.say("What is the capital of France?")
    shown = terminal.until(r"tokens/s")
    assert "The capital of France is Paris." in shown
    assert "INFO" not in shown
    terminal.say(f"/save {tmp_path}/talk.json")
    terminal.until("2 messages saved in")
    saved = json.loads((tmp_path / "talk.json").read_text())
    assert [turn["role"] for turn in saved["messages"]] == ["user", "assistant"]
    assert (tmp_path / "talk.json").stat().st_mode & 0o077 == 0
    terminal.say("/reset")
    terminal.say("/save x.md")
    terminal.until("Nothing has been said yet")
    assert terminal.leave() == 0


@pytest.mark.parametrize("columns", [40, 160])
def test_a_long_answer_is_there_once_at_any_width(server: Scripted, columns: int) -> None:
    terminal = Terminal(server.url, "--no-history", columns=columns, lines=12)
    terminal.say("lines")
    shown = terminal.until(r"200 tokens")
    assert re.findall(r"• line (\d+)\n", shown) == [str(number) for number in range(200)]
    terminal.say("long")
    shown = terminal.until(r"tokens/s", 2)
    assert re.sub(r"\s", "", shown).count("拥有三千多年的建城史") == 6
    # Chinese lines are filled, punctuation stays with its word, and nothing wraps twice.
    assert not re.search(r"^[，。]", shown, re.MULTILINE)
    assert "def add(a: int, b: int) -> int:" in shown
    assert re.search(r"北京\s+21,893,000", shown)
    assert terminal.leave() == 0


def test_thoughts_and_calls_are_shown_and_a_call_waits_for_its_result(server: Scripted) -> None:
    terminal = Terminal(server.url)
    terminal.say("think")
    shown = terminal.until("tokens/s")
    assert "┊ Let me see." in shown
    assert "The answer is 42." in shown
    terminal.say("tool")
    terminal.until(r"result of get_weather > /help\s*$")
    assert '→ get_weather {"city": "北京"}' in terminal.text()
    terminal.say("22 degrees")
    terminal.until("You said: 22 degrees")
    assert server.asked[-1]["messages"][-1] == {"role": "tool", "tool_call_id": "call_a", "content": "22 degrees"}
    terminal.say("/undo")
    terminal.until("result of get_weather", 2)
    assert terminal.leave() == 0


def test_ctrl_c_stops_an_answer_and_keeps_what_came(server: Scripted) -> None:
    terminal = Terminal(server.url)
    terminal.say("wait")
    terminal.until("more more")
    terminal.process.sendintr()
    terminal.until("stopped · ")
    assert server.gone.wait(10)
    terminal.until(r"> /help\s*$")
    terminal.process.send("never said\x03")
    terminal.say("go on")
    terminal.until("You said: go on")
    roles = [(turn["role"], turn["content"][:20]) for turn in server.asked[-1]["messages"]]
    assert [role for role, _ in roles] == ["user", "assistant", "user"]
    assert roles[1][1].startswith("You said: wait more")
    assert terminal.leave() == 0


def test_settings_are_checked_and_sent(server: Scripted) -> None:
    terminal = Terminal(server.url, "--top-p", "0.5")
    for typed, told in (
        ("/set temperature 3", "Temperature: it must be a number from 0 to 2, not '3'"),
        ("/set tempo 1", "There is no setting 'tempo'"),
        ("/set max-tokens 7", "max_tokens is 7."),
        ("/system Be brief.", "system prompt is set"),
        ("/nothing", "There is no /nothing"),
    ):
        terminal.say(typed)
        terminal.until(re.escape(told))
    terminal.say("first\nsecond")
    terminal.until("You said: first")
    asked = server.asked[-1]
    assert (asked["top_p"], asked["max_tokens"]) == (0.5, 7)
    assert [turn["content"] for turn in asked["messages"]] == ["Be brief.", "first\nsecond"]
    assert terminal.leave() == 0


def test_errors_give_the_prompt_back_and_the_turn_can_be_said_again() -> None:
    with scripted() as server:
        port = server.server_port
        terminal = Terminal(server.url)
        terminal.say("error")
        terminal.until("The messages have 5000 tokens; 4096 fit.")
        terminal.until(r"> error\s*$")  # offered again
        terminal.process.send("\x03")
        terminal.say("break")
        terminal.until("ended the answer before its end")
    terminal.say("anybody?")
    terminal.until("There is no server at")
    with scripted(port):
        terminal.until(r"> anybody\?\s*$")
        terminal.process.send("\r")
        terminal.until(r"You said: anybody\?")
        assert terminal.leave() == 0


def test_what_steers_a_terminal_is_left_out(server: Scripted) -> None:
    terminal = Terminal(server.url)
    terminal.say("escape")
    shown = terminal.until("1 token ")
    assert "kept" in shown
    assert terminal.screen.title == ""
    assert "> escape" in shown
    assert terminal.leave() == 0


def test_history_is_kept_for_its_owner_unless_told_otherwise(
    server: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTICO_DATA_DIR", str(tmp_path / "data"))
    terminal = Terminal(server.url, "--no-history")
    terminal.say("secret")
    terminal.until("You said: secret")
    assert terminal.leave() == 0
    assert not (tmp_path / "data").exists()
    terminal = Terminal(server.url)
    terminal.say("remember me")
    terminal.until("You said: remember me")
    assert terminal.leave() == 0
    assert (tmp_path / "data" / "chat_history").stat().st_mode & 0o077 == 0
    terminal = Terminal(server.url)
    terminal.until(r"> /help\s*$")
    terminal.process.send("\x1b[A")
    terminal.until(r"> remember me\s*$")
    terminal.process.close()


def piped(*arguments: str, said: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], input=said, capture_output=True, text=True, timeout=60, check=False)


def test_a_pipe_gets_the_answer_alone(server: Scripted) -> None:
    done = piped(server.url, said="hello\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "You said: hello\n", "")
    assert (
        piped(server.url, "-p", "tool").stdout == '{"name": "get_weather", "arguments": "{\\"city\\": \\"北京\\"}"}\n'
    )


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (("http://127.0.0.1:9", "-p", "x"), 1, "there is no server at http://127.0.0.1:9/v1"),
        (("-p", " "), 2, "there is no question"),
        (("--temperature", "hot", "-p", "x"), 2, "--temperature: it must be a number"),
        (("http://127.0.0.1:9", "--dtype", "float32", "-p", "x"), 2, "--dtype is for a model"),
        (("--tools", "/no/such", "-p", "x"), 2, "cannot be read"),
        (("/no/such/model", "-p", "x"), 1, "There is no folder /no/such/model"),
    ],
)
def test_mistakes_are_one_line(arguments: tuple[str, ...], status: int, told: str) -> None:
    done = piped(*arguments)
    assert (done.returncode, done.stdout) == (status, "")
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_error_of_the_server_is_the_exit_status(server: Scripted) -> None:
    done = piped(server.url, "-p", "error")
    assert (done.returncode, done.stderr) == (1, "portico chat: The messages have 5000 tokens; 4096 fit.\n")
