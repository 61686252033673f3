"""Causes of published advisories that could exist here: one request must not stop the server, or reach into another."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from portico.engine.blocks import ROOT, BlockPool
from portico.errors import CheckpointError, RequestError
from portico.protocol.limits import LIMITS
from portico.server import middleware
from portico.text import sandbox
from portico.text.model import TextModel
from portico.text.template import ChatTemplate
from portico.text.tokenizer import SpecialTokens
from tests.engine.fake_runner import Harness
from tests.server.fake_engine import Gate
from tests.server.harness import SETTINGS, LiveServer, portico

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
HI = [{"role": "user", "content": "hi"}]


def status(server: LiveServer, path: str, body: dict[str, Any]) -> int:
    """Of the answer, after which the server must answer others."""
    with server.http() as http:
        given = http.post(path, json=body).status_code
        assert http.post(COMPLETIONS, json={"prompt": "x", "max_tokens": 1}).status_code == 200
    return given


@pytest.mark.parametrize("prompt", ["", [], [[]], [""], " "])
def test_an_empty_prompt_is_refused(server: LiveServer, prompt: Any) -> None:
    """CVE-2024-8768."""
    assert status(server, COMPLETIONS, {"prompt": prompt}) in (200, 400)


@pytest.mark.parametrize(
    "wish", [{"n": 10**6}, {"best_of": 10**6}, {"num_beams": 10**6}, {"n": -1}, {"logprobs": 10**6}]
)
def test_the_number_of_answers_is_bounded(server: LiveServer, wish: dict[str, int]) -> None:
    """CVE-2024-8939, CVE-2026-34756."""
    assert status(server, COMPLETIONS, {"prompt": "x", **wish}) == 400


@pytest.mark.parametrize(
    "wish",
    [
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "nothing"}}}},
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {"pattern": "((", "type": "string"}}}},
        {"guided_regex": "(" * 1000},
        {"guided_regex": "(a{1,10000}){1,10000}{1,10000}"},
        {"guided_regex": ""},
        {"guided_json": ""},
        {"guided_choice": [""]},
        {"guided_grammar": ""},
        {"structured_outputs": {"json": ""}},
        {"structured_outputs": {}},
        {"guided_json": {"type": "integer", "multipleOf": 10**30}},
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties":
            {"a": {"type": "string", "pattern": "(["}}}, "strict": True}}], "tool_choice": "required"},
    ],
)  # fmt: skip
def test_a_broken_form_of_the_answer_is_this_requests_error(server: LiveServer, wish: dict[str, Any]) -> None:
    """CVE-2025-48942, CVE-2025-48943, CVE-2025-48944, CVE-2026-105757."""
    assert status(server, CHAT, {"messages": HI, "max_tokens": 4, **wish}) in (200, 400)


def test_a_template_of_a_request_is_not_run_by_whatever_name(server: LiveServer) -> None:
    """CVE-2025-61620, CVE-2025-62426, PYSEC-2026-4349."""
    bomb = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    for wish in (
        {"chat_template": bomb},
        {"chat_template_kwargs": {"chat_template": bomb}},
        {"chat_template_kwargs": {"tokenize": False}},
        {"chat_template_kwargs": {"messages": []}},
    ):
        assert status(server, CHAT, {"messages": HI, **wish}) == 400
        assert status(server, "/tokenize", {"messages": HI, **wish}) == 400


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ (messages | attr('__class__')).__base__ }}",
        "{{ ''['format_map'] }}{{ '{0.__class__}'.format_map({'0': 1}) / 0 }}",
        "{{ range.__self__.eval('1') }}",
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{{ 'x' * 10**10 }}",
    ],
)
def test_a_models_template_is_a_program_that_nobody_vouched_for(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """CVE-2024-34359, CVE-2026-5760, CVE-2026-37004, PYSEC-2026-4344."""
    monkeypatch.setattr(sandbox, "MAX_SECONDS", 0.1)
    with pytest.raises(RequestError, match="refused"):
        ChatTemplate({"default": source}, SpecialTokens()).render(HI)


def test_equal_blocks_have_equal_content_and_not_an_equal_hash() -> None:
    """CVE-2025-25183."""
    pool = BlockPool(4, 2)
    pool.register(pool.allocate(), ROOT, [-1, -2])
    assert hash(-1) == hash(-2)  # in Python they collide
    assert pool.match([-2, -1]) == []
    assert pool.match([-2, -2]) == []


def test_who_has_another_salt_learns_nothing_from_the_cache() -> None:
    """CVE-2025-46570: the time to the first token told what others had asked."""
    harness = Harness()
    prompt = list(range(1, 21))
    for name, salt in (("first", "mine"), ("same", "mine"), ("other", "yours"), ("none", "")):
        harness.add(name, prompt, cache_salt=salt)
        harness.run()
    assert harness.cached["first", 0] == 0
    assert harness.cached["same", 0] > 0
    assert harness.cached["other", 0] == harness.cached["none", 0] == 0


def test_a_salt_reaches_the_engine(server: LiveServer) -> None:
    with server.http() as http:
        http.post(COMPLETIONS, json={"prompt": "x", "max_tokens": 1, "cache_salt": "mine"})
    assert server.engine.added[-1].params.cache_salt == "mine"


def test_compiled_grammars_and_outcomes_are_kept_in_bounded_number() -> None:
    """CVE-2025-29770 (a cache on disk), CVE-2025-32381 (one in memory)."""
    from portico.decode.grammar import MOST_COMPILED, MOST_KEPT
    from portico.text.grammar_trial import REMEMBERED

    assert max(MOST_COMPILED, MOST_KEPT, REMEMBERED) <= 1024


def test_keys_are_compared_in_constant_time(text_model: TextModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """CVE-2025-59425: by digests of one length, all of them, whichever matches."""
    seen: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        seen.append((one, other))
        return hashlib.sha256(one).digest() == hashlib.sha256(other).digest()

    monkeypatch.setattr(hmac, "compare_digest", compare)
    with portico(text_model, replace(SETTINGS, api_keys=("first", "second"))) as server, server.http() as http:
        for key in ("first", "x", "secon", "é" * 9):
            seen.clear()
            http.get("/v1/models", headers={"authorization": f"Bearer {key}".encode()})
            assert len(seen) == 2
            assert {len(part) for pair in seen for part in pair} == {32}


def test_no_key_is_written_to_the_log(text_model: TextModel, caplog: pytest.LogCaptureFixture) -> None:
    """CVE-2026-108857."""
    caplog.set_level(logging.DEBUG)
    with portico(text_model, replace(SETTINGS, api_keys=("s3cr3t-key",))) as server, server.http() as http:
        for key in ("s3cr3t-key", "wr0ng-key"):
            http.post(COMPLETIONS, json={"prompt": "x"}, headers={"authorization": f"Bearer {key}"})
    assert "s3cr3t" not in caplog.text
    assert "wr0ng" not in caplog.text


def test_every_route_but_a_few_needs_a_key(text_model: TextModel) -> None:
    """CVE-2023-48022, GO-2025-4251, CVE-2026-27482 (a method was forgotten): a new route is closed by default."""
    with portico(text_model, replace(SETTINGS, api_keys=("k",), debug=True)) as server, server.http() as http:
        for path in (
            *http.get("/openapi.json", headers={"authorization": "Bearer k"}).json()["paths"],
            "/docs",
            "/none",
        ):
            for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"):
                given = http.request(method, path).status_code
                assert (given != 401) == (path in middleware.OPEN_PATHS), (method, path)


def test_an_id_of_a_client_is_echoed_and_names_no_request(server: LiveServer) -> None:
    """CVE-2026-112266: a short id, as a prefix, ended everybody's requests."""
    with server.http() as http:
        for field in ("request_id", "rid"):
            assert http.post("/abort_request", json={field: "", "session_id": -1}).status_code == 400
        answer = http.post(COMPLETIONS, json={"prompt": "x", "max_tokens": 1}, headers={"x-request-id": "req-"})
    assert answer.headers["x-request-id"] == "req-"
    assert server.engine.added[-1].request_id != "req-"


def test_who_ends_requests_ends_those_of_the_own_key(text_model: TextModel) -> None:
    """CVE-2026-112266, CVE-2026-110807, CVE-2026-110809: a session's name belongs to the key that it came with."""
    gate = Gate()
    with portico(text_model, replace(SETTINGS, api_keys=("a", "b"))) as server:
        server.engine.script = lambda add: _after(gate, add)
        one, other = ({"authorization": f"Bearer {key}"} for key in "ab")
        with (
            server.http() as http,
            http.stream(
                "POST", CHAT, json={"messages": HI, "session_id": 7, "stream": True, "max_tokens": 2}, headers=one
            ) as stream,
        ):
            assert gate.reached.wait(20)
            with server.http() as another:
                for session in (7, -1, 0):
                    assert (
                        another.post("/abort_request", json={"session_id": session}, headers=other).status_code == 400
                    )
                body = {"prompt": "", "session_id": 7, "cancel": True}
                another.post("/v1/chat/interactive", json=body, headers=other)
                assert another.post("/abort_request", json={"abort_all": True}, headers=other).status_code == 501
            assert server.engine.cancelled == []
            gate.open()
            assert b"[DONE]" in stream.read()


def _after(gate: Gate, add: Any) -> Any:
    from tests.server.fake_engine import echo

    yield gate
    yield from echo(add)


def test_what_is_too_large_is_refused_before_it_is_read(server: LiveServer) -> None:
    """CVE-2026-55646, CVE-2026-100650, CVE-2024-12886: the size was looked at after the work."""
    with server.http() as http:
        answer = http.post(COMPLETIONS, content=b" " * (LIMITS.body_bytes + 1))
        assert answer.status_code == 413
        assert str(LIMITS.body_bytes) in answer.text

        def unannounced() -> Iterator[bytes]:
            for _ in range(LIMITS.body_bytes // 2**20 + 2):
                yield b" " * 2**20

        with contextlib.suppress(httpx.TransportError):  # the server may close before it has read all
            assert http.post(COMPLETIONS, content=unannounced()).status_code == 413


@pytest.mark.parametrize(
    "field", ["n_discard", "n_keep", "id_slot", "n_predict", "min_tokens", "truncate_prompt_tokens", "max_tokens"]
)
def test_numbers_below_nothing_reach_no_memory(server: LiveServer, field: str) -> None:
    """CVE-2026-21869."""
    assert status(server, COMPLETIONS, {"prompt": "x", field: -(2**31), "max_tokens": 1, **({field: -5})}) in (200, 400)


def test_a_page_of_another_origin_may_not_ask(text_model: TextModel) -> None:
    """DNS rebinding and pages: CVE-2024-28224, CVE-2025-62593; what a browser sends by itself opens nothing."""
    with portico(text_model) as server, server.http() as http:
        answer = http.options(CHAT, headers={"origin": "http://evil", "access-control-request-method": "POST"})
        assert "access-control-allow-origin" not in answer.headers


def test_what_a_model_says_is_parsed_and_never_run() -> None:
    """CVE-2025-9141 (eval), CVE-2025-48887 (a regular expression that never ended), CVE-2026-107183."""
    from tests.fuzz.test_readers import parse
    from tests.text.tools.written import WRITTEN

    for written in WRITTEN.values():
        parse(written, "<tool_call>\n<function=f>\n<parameter=city>\n__import__('os').system('id')\n", 7)
        parse(written, "[f(city=__import__('os').system('id'))]", 7)
        parse(written, "[" + "f(a=1, " * 2000, 7)


def test_an_assertion_of_a_step_ends_one_request() -> None:
    """PYSEC-2026-2303, CVE-2026-9540, CVE-2025-62372: the engine died with a request."""
    harness = Harness(poison=49)
    harness.add("bad", [1, 49, 2])
    good = harness.add("good", [1, 2, 3])
    harness.run()
    assert harness.endings["bad", 0] == "error"
    harness.assert_exact(good)


def test_company_changes_nothing() -> None:
    """GHSA-v97p-wpxp-px84, GHSA-fpch-3xrf-7q96: what stood in a place of the batch came to another's request."""
    harness = Harness(max_num_seqs=3)
    adds = [harness.add(str(n), [n % 5, n % 3, n % 7][: 1 + n % 3], max_tokens=1 + n % 6) for n in range(20)]
    harness.run()
    for add in adds:
        harness.assert_exact(add)


def test_a_checkpoint_that_lies_is_one_line(tmp_path: Any) -> None:
    """CVE-2024-39719: an error is no oracle of other files."""
    from portico.weights.files import read_json

    (tmp_path / "config.json").write_text(json.dumps([1]), encoding="utf-8")
    with pytest.raises(CheckpointError):
        read_json(tmp_path / "config.json")
