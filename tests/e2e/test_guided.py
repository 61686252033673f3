"""Answers of a wanted form: whatever the model would like to say, what is finished matches."""

from __future__ import annotations

import json
import random
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
import torch
from openai import OpenAI
from safetensors.torch import load_file, save_file

from portico import LLM, SamplingParams
from portico.demo import demo_folder
from portico.protocol.sampling import Guided
from tests.e2e.serving import Server

SCHEMAS = 300


def schema(rng: random.Random, depth: int = 0) -> dict[str, Any]:
    """A random JSON schema of what schemas in use are made of."""
    kinds = ["string", "integer", "number", "boolean", "enum", "const", "pattern"]
    kind = rng.choice(kinds + (["object", "object", "array", "anyOf"] if depth < 3 else []))
    match kind:
        case "string":
            return {"type": "string", "minLength": rng.randint(0, 3), "maxLength": rng.randint(3, 12)}
        case "integer":
            low = rng.randint(-50, 50)
            return {"type": "integer", "minimum": low, "maximum": low + rng.randint(0, 900)}
        case "number":
            return {"type": "number", "minimum": 0, "exclusiveMaximum": rng.randint(1, 50)}
        case "enum":
            return {"enum": rng.sample(["red", "blue", 7, None, True, "x y"], rng.randint(1, 4))}
        case "const":
            return {"const": rng.choice(["fixed", 3, False])}
        case "pattern":
            return {"type": "string", "pattern": rng.choice([r"^[a-z]{2,5}$", r"^[0-9]{3}-[0-9]{2}$", "^(yes|no)$"])}
        case "array":
            low = rng.randint(0, 2)
            return {"type": "array", "items": schema(rng, depth + 1), "minItems": low, "maxItems": low + 2}
        case "anyOf":
            return {"anyOf": [schema(rng, depth + 1) for _ in range(rng.randint(2, 3))]}
        case "object":
            properties = {name: schema(rng, depth + 1) for name in rng.sample("abcdefgh", rng.randint(1, 4))}
            required = [name for name in properties if rng.random() < 0.7]
            return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    return {"type": kind}


@pytest.fixture(scope="module")
def random_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled model's tokenizer on weights that mean nothing."""
    folder = tmp_path_factory.mktemp("noise")
    shutil.copytree(demo_folder(), folder, dirs_exist_ok=True)
    generator = torch.Generator().manual_seed(0)
    tensors = load_file(folder / "model.safetensors")
    noise = {name: torch.randn(t.shape, generator=generator).to(t.dtype) * 0.1 for name, t in tensors.items()}
    save_file(noise, folder / "model.safetensors")
    return folder


@pytest.fixture(scope="module", params=["demo", "random"])
def llm(request: pytest.FixtureRequest, random_weights: Path) -> LLM:
    model = {} if request.param == "demo" else {"model": str(random_weights)}
    return LLM(**model, kv_cache_memory=1 << 28, threads=1)  # type: ignore[arg-type]


def test_every_finished_answer_matches_its_schema(llm: LLM) -> None:
    rng = random.Random(7)
    schemas = [schema(rng) for _ in range(SCHEMAS)]
    params = [
        SamplingParams(temperature=1.0, seed=n, max_tokens=300, guided=Guided(kind="json", value=json.dumps(wanted)))
        for n, wanted in enumerate(schemas)
    ]
    answers = llm.chat([[{"role": "user", "content": "Tell me something."}]] * SCHEMAS, params, progress=False)
    finished = 0
    for wanted, answer in zip(schemas, answers, strict=True):
        choice = answer.choices[0]
        if choice.finish_reason == "stop":
            finished += 1
            jsonschema.validate(json.loads(choice.text), wanted)
    assert finished > SCHEMAS * 0.9


def test_regular_expressions_choices_and_grammars(llm: LLM) -> None:
    wishes = {
        r"[a-f]{3}-[0-9]{2}": Guided(kind="regex", value=r"[a-f]{3}-[0-9]{2}"),
        "yes|no|也许": Guided(kind="choice", value=json.dumps(["yes", "no", "也许"])),
        r"a( b){2,4}\.": Guided(kind="lark", value='start: "a" (" b"){2,4} "."'),
        "x[0-9]y": Guided(kind="lark", value='root ::= "x" [0-9] "y"'),
    }
    for pattern, guided in wishes.items():
        params = SamplingParams(temperature=1.0, seed=5, n=6, max_tokens=60, guided=guided)
        answer = llm.generate("Once upon", params, progress=False)[0]
        for choice in answer.choices:
            assert choice.finish_reason == "stop"
            assert re.fullmatch(pattern, choice.text), (pattern, choice.text)


def test_the_same_answer_alone_and_among_others(llm: LLM) -> None:
    rng = random.Random(3)
    params = [
        SamplingParams(
            temperature=1.0, seed=n, max_tokens=80, guided=Guided(kind="json", value=json.dumps(schema(rng)))
        )
        for n in range(12)
    ]
    together = llm.generate(["Once upon a time"] * 12, params, progress=False)
    alone = [llm.generate(["Once upon a time"], [wish], progress=False)[0] for wish in params]
    assert [answer.text for answer in together] == [answer.text for answer in alone]


def test_response_format_over_http(demo: Server) -> None:
    client = OpenAI(base_url=f"{demo.url}/v1", api_key="unused")
    wanted = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        "required": ["name", "age"],
        "additionalProperties": False,
    }
    question = (
        f"Extract the facts as JSON for this schema: {json.dumps(wanted)}\nMarco is a baker from Rome, 43 years old."
    )
    asked: Any = {
        "model": "portico-demo",
        "messages": [{"role": "user", "content": question}],
        "temperature": 0,
        "response_format": {"type": "json_schema", "json_schema": {"name": "person", "strict": True, "schema": wanted}},
    }
    whole = client.chat.completions.create(**asked).choices[0]
    answer = json.loads(whole.message.content or "")
    jsonschema.validate(answer, wanted)
    assert answer["age"] == 43
    streamed = "".join(
        chunk.choices[0].delta.content or "" for chunk in client.chat.completions.create(**asked, stream=True)
    )
    assert streamed == whole.message.content
    choice = client.completions.create(
        model="portico-demo", prompt="x", extra_body={"guided_choice": ["north", "south"]}
    ).choices[0]
    assert choice.text in ("north", "south")


def test_a_grammar_that_cannot_be_followed_is_its_requests_error(demo: Server) -> None:
    """Only following it shows that it has 2^60 ways to go on; the answers beside it are as they are without it."""
    doubling = "".join(f"a{number}: a{number + 1} a{number + 1}\n" for number in range(60))
    hostile = {"guided_grammar": f'start: a0\n{doubling}a60: "x"'}
    endless = {"guided_json": {"type": "integer", "allOf": [{"multipleOf": 10007}, {"multipleOf": 10009}]}}
    body: dict[str, Any] = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 24, "temperature": 0}
    url = f"{demo.url}/v1/chat/completions"
    with ThreadPoolExecutor(6) as pool, httpx.Client(timeout=60) as http:
        alone = http.post(url, json=body).json()["choices"]
        sent = [pool.submit(http.post, url, json={**body, **more}) for more in (hostile, endless, {}, hostile, {})]
        answers = [future.result() for future in sent]
    assert [answer.status_code for answer in answers] == [400, 400, 200, 400, 200]
    assert "cannot be followed" in answers[0].json()["error"]["message"]
    assert answers[1].json()["error"]["param"] == "guided_json"
    assert answers[2].json()["choices"] == answers[4].json()["choices"] == alone


def test_what_must_follow_costs_no_step_and_changes_no_answer(llm: LLM) -> None:
    rng = random.Random(3)
    wanted = [json.dumps(schema(rng)) for _ in range(40)]
    wanted += [
        json.dumps(
            {
                "type": "object",
                "properties": {"a_rather_long_name": {"type": "null"}},
                "required": ["a_rather_long_name"],
            }
        )
    ]

    def ask(**params: Any) -> tuple[list[tuple[int, ...]], int]:
        before = llm._engine.stats().steps
        asked = [
            SamplingParams(seed=n, max_tokens=200, guided=Guided(kind="json", value=value, whitespace=""), **params)
            for n, value in enumerate(wanted)
        ]
        answers = llm.generate(["Give me JSON: "] * len(wanted), asked, progress=False)
        return [answer.choices[0].token_ids for answer in answers], llm._engine.stats().steps - before

    together, steps = ask()
    singly, more_steps = ask(logprobs=0)
    assert together == singly
    assert steps < more_steps
