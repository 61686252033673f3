"""`portico web` in a real Chromium: what a person sees, and what the browser asks of whom."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

if not os.environ.get("PORTICO_WEB_TEST"):
    pytest.skip("make web-test", allow_module_level=True)
pytest.importorskip("gradio")
sync_api = pytest.importorskip("playwright.sync_api")

from tests.client.scripted import KEY, Scripted, scripted  # noqa: E402

CHROMIUM = os.environ.get("PORTICO_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
Page = sync_api.Page
expect = sync_api.expect


@contextmanager
def started(*words: str, ready: str) -> Iterator[str]:
    """A verb that serves a page; its URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "portico.cli.main", *words],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        found = next(found for line in process.stdout if (found := re.search(ready, line)))
        yield found[1]
        process.terminate()
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.communicate()


@contextmanager
def page_for(server: Scripted) -> Iterator[str]:
    with started("web", server.url, "--port", "0", ready=r" at (http://127\.0\.0\.1:\d+)$") as url:
        yield url


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sync_api.Browser]:
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Scripted]:
    with scripted() as running:
        yield running


@pytest.fixture(scope="module")
def url(server: Scripted) -> Iterator[str]:
    with page_for(server) as url:
        yield url


@pytest.fixture
def page(browser: sync_api.Browser, url: str) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1000, "height": 800})
    page.goto(url)
    yield page
    page.close()


def say(page: Page, text: str) -> None:
    box = page.locator("#message textarea")
    expect(box).to_be_enabled(timeout=60_000)
    box.fill(text)
    box.press("Enter")


def shows(page: Page, text: str | re.Pattern[str]) -> None:
    expect(page.locator("#conversation")).to_contain_text(text, timeout=60_000)


def finished(page: Page) -> None:
    expect(page.locator("#figures")).to_contain_text(re.compile(r"\d tokens? .*prompt 9"), timeout=60_000)


def test_a_conversation(page: Page, server: Scripted) -> None:
    say(page, "hello")
    shows(page, "You said: hello")
    finished(page)
    say(page, "and again")
    shows(page, "You said: and again")
    assert server.asked[-1]["messages"] == [
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "You said: hello"},
        {"role": "user", "content": "and again"},
    ]


def test_retry_undo_and_edit_ask_again(page: Page, server: Scripted) -> None:
    say(page, "hello")
    shows(page, "You said: hello")
    finished(page)
    before = len(server.asked)
    page.get_by_label("Retry").click()
    for _ in range(1200):
        if len(server.asked) > before:
            break
        page.wait_for_timeout(50)
    assert server.asked[before:] == server.asked[before - 1 : before]
    finished(page)
    page.get_by_label("Edit").first.click()
    edited = page.locator("#conversation textarea")
    edited.fill("changed")
    page.get_by_label("Submit").first.click()
    shows(page, "You said: changed")
    assert [turn["content"] for turn in server.asked[-1]["messages"]] == ["changed"]
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#conversation")).not_to_contain_text("You said: changed")


def test_stop_ends_the_request_and_keeps_what_came(browser: sync_api.Browser) -> None:
    with scripted() as server, page_for(server) as url:
        page = browser.new_page()
        page.goto(url)
        say(page, "wait")
        shows(page, "more more")
        page.locator("#message button.stop-button").click()
        assert server.gone.wait(10)
        say(page, "go on")
        shows(page, "You said: go on")
        contents = [turn["content"] for turn in server.asked[-1]["messages"]]
        assert contents[1].startswith("You said: wait more")
        page.close()


def test_thoughts_and_calls_are_apart_from_the_answer(page: Page, server: Scripted) -> None:
    say(page, "think")
    shows(page, "The answer is 42.")
    shows(page, "Thought")
    finished(page)
    say(page, "tool")
    shows(page, "Call of get_weather")
    finished(page)
    say(page, "22 degrees")
    shows(page, "You said: 22 degrees")
    turns = server.asked[-1]["messages"]
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user", "assistant", "tool"]
    assert turns[1]["content"] == "The answer is **42**."
    call = turns[3]["tool_calls"][0]
    assert (call["function"]["name"], json.loads(call["function"]["arguments"])) == ("get_weather", {"city": "北京"})
    assert turns[4]["tool_call_id"] == call["id"]


def test_settings_are_checked_and_sent(page: Page, server: Scripted) -> None:
    page.get_by_label("Toggle Sidebar").click()
    page.get_by_label("System prompt").fill("Be brief.")
    page.get_by_role("textbox", name="Temperature").fill("7")
    say(page, "hello")
    shows(page, "Temperature: it must be a number from 0 to 2, not '7'")
    page.get_by_role("textbox", name="Temperature").fill("0.5")
    page.get_by_label("Most tokens").fill("12")
    say(page, "hello again")
    shows(page, "You said: hello again")
    asked = server.asked[-1]
    assert (asked["temperature"], asked["max_tokens"]) == (0.5, 12)
    assert asked["messages"] == [
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello again"},
    ]  # fmt: skip


@pytest.mark.parametrize("width", [375, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_fetched_elsewhere_and_nothing_overflows(
    browser: sync_api.Browser, url: str, width: int, scheme: str
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 700}, color_scheme=scheme)
    page = context.new_page()
    answered: list[str] = []
    refused: dict[str, str | None] = {}
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("response", lambda response: answered.append(response.url))
    page.on("requestfailed", lambda request: refused.update({request.url: request.failure}))
    page.goto(url)
    say(page, "long")
    shows(page, "21,893,000")
    finished(page)
    elsewhere = {address for address in asked if not address.startswith((url, "data:", "blob:"))}
    # The answer's own picture is the only thing that was asked for, and the page's policy stopped it.
    assert elsewhere == {"http://elsewhere.invalid/x.png?q=1"}
    assert {refused.get(address) for address in elsewhere} == {"csp"}
    assert not elsewhere & set(answered)
    assert page.title() != "stolen"
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    box = page.locator("#message textarea").bounding_box()
    assert box is not None
    assert box["y"] + box["height"] <= 700
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", background)[:3])) > 384) == (scheme == "light")
    context.close()


def test_errors_and_a_server_that_goes_away_are_told(browser: sync_api.Browser) -> None:
    with scripted() as server:
        port = server.server_port
        entered = page_for(server)
        url = entered.__enter__()
        page = browser.new_page()
        page.goto(url)
        say(page, "error")
        shows(page, "The messages have 5000 tokens; 4096 fit.")
        say(page, "break")
        shows(page, "The server ended the answer before its end")
    say(page, "anybody?")
    shows(page, "There is no server at")
    with scripted(port) as server:
        say(page, "hello")
        shows(page, "You said: hello")
        # What got no answer is not said again, and neither is an error.
        contents = [turn["content"] for turn in server.asked[-1]["messages"]]
        assert contents == ["break", "You said: break", "hello"]
    page.close()
    entered.__exit__(None, None, None)


def test_a_server_with_a_key_makes_the_page_ask_for_it(browser: sync_api.Browser) -> None:
    with scripted(key=KEY) as server, page_for(server) as url:
        page = browser.new_page()
        page.goto(url)
        say(page, "hello")
        shows(page, "wants a key")
        page.get_by_label("Toggle Sidebar").click()
        page.get_by_label("API key").fill(KEY)
        say(page, "hello again")
        shows(page, "You said: hello again")
        assert page.evaluate("JSON.stringify([localStorage, document.cookie])").find(KEY) == -1
        page.close()


def test_a_page_beside_the_bundled_model(browser: sync_api.Browser, tmp_path: Path) -> None:
    words = ("serve", "--port", "0", "--threads", "1", "--web", "--web-port", "0")
    with started(*words, ready=r"chat: (http://127\.0\.0\.1:\d+)$") as url:
        page = browser.new_page()
        page.goto(url)
        page.get_by_label("Toggle Sidebar").click()
        page.get_by_role("textbox", name="Temperature").fill("0")
        say(page, "What is the capital of France?")
        shows(page, "The capital of France is Paris.")
        expect(page.locator("#figures")).to_contain_text("tokens/s")
        page.close()
