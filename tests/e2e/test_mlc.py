"""The programs of MLC LLM's and MLC-Chat's documents as they stand there, against servers started as there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from portico.demo import demo_folder
from tests.e2e.serving import PYTHON, Server, serving

LLAMA = "./dist/Llama-2-7b-chat-hf-q4f16_1-MLC/"
MODELS = ("dist/Llama-2-7b-chat-hf-q4f16_1-MLC", "dist/prebuilt/vicuna-v1-7b")

WHOLE = """
import requests

# Get a response using a prompt without streaming
payload = {
   "model": "./dist/Llama-2-7b-chat-hf-q4f16_1-MLC/",
   "messages": [
      {"role": "user", "content": "Write a haiku about apples."},
   ],
   "stream": False,
   # "n": 1,
   "max_tokens": 300,
}
r = requests.post("http://127.0.0.1:8080/v1/chat/completions", json=payload)
choices = r.json()["choices"]
for choice in choices:
   print(f"{choice['message']['content']}\\n")
"""
MODELS_LIST = """
import requests

url = "http://127.0.0.1:8000/v1/models"
headers = {"accept": "application/json"}

response = requests.get(url, headers=headers)

if response.status_code == 200:
   print("Response:")
   print(response.json())
else:
   print("Error:", response.status_code)
"""
STREAM = """
import requests
import json

# Get a response using a prompt with streaming
payload = {
   "model": "./dist/Llama-2-7b-chat-hf-q4f16_1-MLC/",
   "messages": [{"role": "user", "content": "Write a haiku"}],
   "stream": True,
}
with requests.post("http://127.0.0.1:8080/v1/chat/completions", json=payload, stream=True) as r:
   for chunk in r.iter_content(chunk_size=None):
      chunk = chunk.decode("utf-8")
      if "[DONE]" in chunk[6:]:
         break
      response = json.loads(chunk[6:])
      content = response["choices"][0]["delta"].get("content", "")
      print(content, end="", flush=True)
print("\\n")
"""
TOOLS = """
import requests
import json

tools = [
   {
      "type": "function",
      "function": {
         "name": "get_current_weather",
         "description": "Get the current weather in a given location",
         "parameters": {
            "type": "object",
            "properties": {
               "location": {
                  "type": "string",
                  "description": "The city and state, e.g. San Francisco, CA",
               },
               "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            },
            "required": ["location"],
         },
      },
   }
]
"""
CALL = (
    TOOLS
    + """
payload = {
   "model": "./dist/gorilla-openfunctions-v1-q4f16_1-MLC/",
   "messages": [
      {
         "role": "user",
         "content": "What is the current weather in Pittsburgh, PA in fahrenheit?",
      }
   ],
   "stream": False,
   "tools": tools,
}

r = requests.post("http://127.0.0.1:8080/v1/chat/completions", json=payload)
print(f"{r.json()['choices'][0]['message']['tool_calls'][0]['function']}\\n")
"""
)
CALL_STREAM = (
    TOOLS
    + """
payload = {
   "model": "./dist/gorilla-openfunctions-v1-q4f16_1-MLC/",
   "messages": [
      {
         "role": "user",
         "content": "What is the current weather in Pittsburgh, PA and Tokyo, JP in fahrenheit?",
      }
   ],
   "stream": True,
   "tools": tools,
}

with requests.post("http://127.0.0.1:8080/v1/chat/completions", json=payload, stream=True) as r:
   for chunk in r.iter_content(chunk_size=None):
      chunk = chunk.decode("utf-8")
      if "[DONE]" in chunk[6:]:
         break
      response = json.loads(chunk[6:])
      content = response["choices"][0]["delta"].get("content", "")
      print(f"{content}", end="", flush=True)
print("\\n")
"""
)
MLC_CHAT = """
import requests
import json

# Get a response using a prompt without streaming
payload = {
   "model": "vicuna-v1-7b",
   "messages": [{"role": "user", "content": "Write a haiku"}],
   "stream": False
}
r = requests.post("http://127.0.0.1:8000/v1/chat/completions", json=payload)
print(f"Without streaming:\\n{r.json()['choices'][0]['message']['content']}\\n")

# Reset the chat
r = requests.post("http://127.0.0.1:8000/chat/reset", json=payload)
print(f"Reset chat: {str(r)}\\n")

# Get a response using a prompt with streaming
payload = {
   "model": "vicuna-v1-7b",
   "messages": [{"role": "user", "content": "Write a haiku"}],
   "stream": True
}
with requests.post("http://127.0.0.1:8000/v1/chat/completions", json=payload, stream=True) as r:
   print(f"With streaming:")
   for chunk in r:
      content = json.loads(chunk[6:-2])["choices"][0]["delta"].get("content", "")
      print(f"{content}", end="", flush=True)
   print("\\n")

# Get the latest runtime stats
r = requests.get("http://127.0.0.1:8000/stats")
print(f"Runtime stats: {r.json()}\\n")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the documents' models are: each is the demo model."""
    folder = tmp_path_factory.mktemp("work")
    for name in MODELS:
        link = folder / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(demo_folder(), target_is_directory=True)
    return folder


@pytest.fixture(scope="module")
def mlc(folder: Path) -> Iterator[Server]:
    flags = ("--compat", "mlc", "--enable-tracing", "--enable-debug", "--kv-cache-memory", "64MiB", "--seed", "1")
    command = [PYTHON, "-m", "portico", "serve", LLAMA, "--model-lib", "PATH-TO-MODEL-LIB", "--mode", "local"]
    with serving(*flags, command=command, folder=folder) as server:
        yield server


def printed(program: str, server: Server) -> str:
    """What a program prints, its port replaced by the server's."""
    for port in (":8080/", ":8000/"):
        program = program.replace(port, f":{server.port}/")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_whole_answer_and_a_stream(mlc: Server) -> None:
    assert len(printed(WHOLE, mlc).strip().splitlines()) == 3
    assert len(printed(STREAM, mlc).strip().splitlines()) == 3
    assert repr(LLAMA) in printed(MODELS_LIST, mlc)


def test_calls(mlc: Server) -> None:
    assert (
        printed(CALL, mlc).strip()
        == "{'name': 'get_current_weather', 'arguments': {'location': 'Pittsburgh, PA', 'unit': 'fahrenheit'}}"
    )
    said = printed(CALL_STREAM, mlc)
    assert "Pittsburgh, PA" in said
    assert "get_current_weather" in said


def test_the_trace(mlc: Server) -> None:
    body = {"model": LLAMA}
    talk = {"messages": [{"role": "user", "content": "hi, what's your name?"}], "max_tokens": 4}
    answer = httpx.post(f"{mlc.url}/v1/chat/completions", json=talk, timeout=60).json()
    events = httpx.post(f"{mlc.url}/debug/dump_event_trace", json=body).json()
    mine = [event for event in events if event["tid"] == answer["id"]]
    assert [event["name"] for event in mine if event["ph"] == "B"][:2] == ["tokenization (0)", "prefill (0)"]
    assert mine[-1]["name"].startswith("finish")
    metrics = httpx.get(f"{mlc.url}/metrics").text
    assert 'portico:num_requests_running{model_name="./dist/' in metrics
    assert "\nengine_decode_time_sum " in metrics


def test_mlc_chat(folder: Path) -> None:
    command = [PYTHON, "-m", "portico.rest", "--model", "vicuna-v1-7b", "--lib-path", "LIB", "--device", "auto:0"]
    with serving("--kv-cache-memory", "64MiB", "--seed", "1", command=command, folder=folder) as server:
        said = printed(MLC_CHAT, server)
        whole, streamed = said.split("Reset chat: <Response [200]>")
        assert len(whole.split("Without streaming:\n")[1].strip().splitlines()) == 3
        haiku, stats = streamed.split("With streaming:\n")[1].split("Runtime stats: ")
        assert len(haiku.strip().splitlines()) == 3
        assert stats.startswith("prefill: ")
        assert "nan" not in stats
        url = f"{server.url}/v1/chat/completions"
        for question, expected in (("My name is Marco.", "Marco"), ("What is my name?", "Marco")):
            body = {"messages": [{"role": "user", "content": question}], "temperature": 0}
            assert expected in httpx.post(url, json=body, timeout=60).json()["choices"][0]["message"]["content"]
