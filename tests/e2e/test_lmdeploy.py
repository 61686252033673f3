"""Conversations that the server keeps, as LMDeploy's clients have them, and that outlive a server."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from portico.client import APIClient
from tests.e2e.serving import Server, serving

SMALL = ("--kv-cache-memory", "64MiB")


def say(server: Server, prompt: str, session_id: int = 1, **fields: Any) -> dict[str, Any]:
    (answer,) = APIClient(server.url).chat_interactive_v1(
        prompt, session_id=session_id, interactive_mode=True, temperature=0, **fields
    )
    return answer


def computed(server: Server) -> tuple[int, int]:
    """Prompt tokens that the engine was given so far, and those of them that it found computed."""
    state = httpx.get(f"{server.url}/health").json()
    return state.get("prompt_tokens", 0), state.get("cached_tokens", 0)  # none before the first step


def test_api_client_in_a_conversation(demo: Server) -> None:
    api_client = APIClient(demo.url)
    messages = [
        "hi, what's your name?",
        "who developed you?",
        "Tell me more about your developers",
        "Summarize the information we've talked so far",
    ]
    before = 0
    for message in messages:
        for item in api_client.chat_interactive_v1(
            prompt=message, session_id=1001, interactive_mode=True, stream=False
        ):
            assert item["text"]
            assert item["finish_reason"] == "stop"
            assert item["history_tokens"] == before
            before += item["input_tokens"] + item["tokens"]


def test_the_terminal(demo: Server) -> None:
    typed = "My name is Marco.\n\nWhat is my name?\n\nend\n\nexit\n\n"
    command = [sys.executable, "-m", "portico.cli.main", "client", demo.url, "--session-id", "1003"]
    done = subprocess.run(command, input=typed, capture_output=True, text=True, timeout=60, check=True)
    assert "Marco" in done.stdout.split(">>>")[2]


def test_a_turn_computes_what_is_new_and_no_more(demo: Server) -> None:
    """Beyond the model's own ends, so that some tokens are not those that the tokenizer would choose."""
    block, history = 16, 0
    client = APIClient(demo.url)
    for number in range(10):
        prompt_before, cached_before = computed(demo)
        (answer,) = client.chat_interactive_v1(
            f"What is {number} + {number}? Write a haiku about apples.",
            session_id=1004,
            interactive_mode=True,
            temperature=1.0,
            top_p=1.0,
            request_output_len=40,
            ignore_eos=True,
        )
        prompt_after, cached_after = computed(demo)
        read, found = prompt_after - prompt_before, cached_after - cached_before
        assert answer["history_tokens"] == history
        assert read == history + answer["input_tokens"]
        # What was drawn last is not computed yet, and only full blocks are found.
        assert read - found <= answer["input_tokens"] + block + 1
        history += answer["input_tokens"] + answer["tokens"]
    assert history > 400


def test_a_conversation_outlives_the_server(tmp_path: Path) -> None:
    store = ("--session-store", f"sqlite:///{tmp_path}/s.sqlite3", "--drain-timeout", "0")
    body = {"prompt": "Hello!", "session_id": 3, "interactive_mode": True, "stream": True, "ignore_eos": True}
    http = httpx.Client(timeout=30)
    with serving(*SMALL, *store) as server:
        unfinished = http.send(http.build_request("POST", f"{server.url}/v1/chat/interactive", json=body), stream=True)
        assert json.loads(next(lines := unfinished.iter_lines()))["finish_reason"] is None
        assert "Marco" in say(server, "My name is Marco.")["text"]
        before = say(server, "What is the capital of France?")
        assert "Paris" in before["text"]
    assert json.loads(list(lines)[-1])["message"] == "The server is shutting down."
    http.close()
    with serving(*SMALL, *store) as server:
        answer = say(server, "What is my name?")
        assert "Marco" in answer["text"]
        assert answer["history_tokens"] == before["history_tokens"] + before["input_tokens"] + before["tokens"]
        assert say(server, "What is my name?", session_id=2)["history_tokens"] == 0
        assert say(server, "Go on.", session_id=3)["history_tokens"] > 0


def test_keys_limits_and_where_it_is_kept(tmp_path: Path) -> None:
    flags = ("--api-key", "alice", "--api-key", "bob", "--max-sessions", "1", "--session-idle", "60")
    with serving(*SMALL, *flags, "--session-store", f"sqlite:///{tmp_path}/s.sqlite3") as server:
        alice, bob = APIClient(server.url, "alice"), APIClient(server.url, "bob")

        def history(client: APIClient, session_id: int) -> int:
            (answer,) = client.chat_interactive_v1("Hello!", session_id=session_id, interactive_mode=True)
            return int(answer["history_tokens"])

        assert history(alice, 1) == 0
        assert history(bob, 1) == 0
        assert history(alice, 1) > 0
        assert history(bob, 2) == 0
        assert history(bob, 1) == 0
        assert history(alice, 1) > 0
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert not re.search(b"alice|bob", stored)
