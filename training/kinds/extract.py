"""Facts out of a sentence, as JSON for a given schema."""

from __future__ import annotations

import json
from typing import Any

from training.dialogue import Turn
from training.draw import Draw
from training.kinds.tools import person, place
from training.world import COLOURS, JOBS, PRODUCTS

Fact = tuple[str, str, Any]
"""Field name, JSON type, value."""


def about_person(draw: Draw) -> tuple[str, list[Fact]]:
    name, age, city, job = person(draw), draw.integer(18, 90), place(draw), draw.item(JOBS)
    text = draw.wording([
        f"{name} is {age} years old, lives in {city} and works as a {job}.",
        f"{name} is a {job} from {city}, {age} years old.",
        f"The {job} {name}, aged {age}, lives in {city}.",
        f"My friend {name} lives in {city}. {name} is {age} and a {job}.",
        f"In {city} lives {name}, a {job} of {age} years.",
        f"{name}, a {job} who is {age}, comes from {city}.",
    ])  # fmt: skip
    return text, [("name", "string", name), ("age", "integer", age), ("city", "string", city), ("job", "string", job)]


def about_product(draw: Draw) -> tuple[str, list[Fact]]:
    product, price, colour = (
        draw.item(PRODUCTS) if draw.chance(0.6) else draw.word(),
        draw.integer(5, 999),
        draw.any(COLOURS),
    )
    stock = draw.chance(0.5)
    state = "in stock" if stock else "sold out"
    text = draw.wording([
        f"The {colour} {product} costs {price} dollars and is {state}.",
        f"A {product} in {colour} is {state}, for {price} dollars.",
        f"For {price} dollars you get the {colour} {product}; it is {state}.",
        f"Our {product} ({colour}) is {state} and costs {price} dollars.",
        f"The price of the {colour} {product} is {price} dollars. It is {state}.",
    ])  # fmt: skip
    return text, [
        ("product", "string", product),
        ("price", "integer", price),
        ("color", "string", colour),
        ("in_stock", "boolean", stock),
    ]


def about_contact(draw: Draw) -> tuple[str, list[Fact]]:
    name, phone = person(draw), "".join(str(draw.integer(0, 9)) for _ in range(6))
    email = f"{draw.word()}@{draw.word()}.com"
    text = draw.wording([
        f"You can reach {name} at {email} or by phone at {phone}.",
        f"{name}'s email is {email} and the phone number is {phone}.",
        f"Write to {name}: {email}. Phone: {phone}.",
        f"Contact {name} at {email}, phone {phone}.",
        f"For questions ask {name}, {email}, {phone}.",
    ])  # fmt: skip
    return text, [("name", "string", name), ("email", "string", email), ("phone", "string", phone)]


def about_event(draw: Draw) -> tuple[str, list[Fact]]:
    event = f"{draw.word()} {draw.any(('meeting', 'party', 'concert', 'workshop', 'talk'))}"
    date, where = f"20{draw.integer(20, 35)}-{draw.integer(1, 12):02d}-{draw.integer(1, 28):02d}", place(draw)
    guests = draw.integer(5, 500)
    text = draw.wording([
        f"The {event} takes place in {where} on {date} with {guests} guests.",
        f"On {date} there is a {event} in {where} for {guests} guests.",
        f"{guests} guests come to the {event} in {where} on {date}.",
        f"We hold the {event} on {date} in {where}; {guests} guests will come.",
        f"Come to {where} on {date}: the {event} expects {guests} guests.",
    ])  # fmt: skip
    return text, [
        ("event", "string", event),
        ("date", "string", date),
        ("location", "string", where),
        ("guests", "integer", guests),
    ]


SOURCES = (about_person, about_person, about_product, about_contact, about_event)


def schema(facts: list[Fact]) -> str:
    properties = {name: {"type": kind} for name, kind, _ in facts}
    return json.dumps({"type": "object", "properties": properties, "required": list(properties)})


WITH_SCHEMA = [
    "Extract the facts as JSON for this schema: {s}\n{t}", "Return JSON that matches this schema: {s}\nText: {t}", "{t}\nGive me JSON for the schema {s}", "Schema: {s}\nSentence: {t}\nAnswer in JSON.",
    "Use this JSON schema: {s}\nExtract from: {t}", "Read the text and fill this JSON schema.\n{s}\n{t}",
]  # fmt: skip
WITH_FIELDS = [
    "Extract {f} as JSON: {t}", "Return a JSON object with the fields {f} from this text: {t}", "{t}\nGive me {f} as JSON.", "Make JSON with {f} out of this sentence: {t}",
    "As JSON, with the keys {f}: {t}", "Read this and answer in JSON with {f}. {t}",
]  # fmt: skip


def json_is(expected: dict[str, Any]) -> Any:
    def check(answer: str) -> bool:
        try:
            return bool(json.loads(answer) == expected)
        except ValueError:
            return False

    return check


def extract(draw: Draw) -> list[Turn]:
    text, facts = draw.any(SOURCES)(draw)
    kept = draw.rng.sample(facts, draw.integer(2, len(facts)))
    expected = {name: value for name, _, value in kept}
    if draw.chance(0.6):
        user = draw.wording(WITH_SCHEMA).format(s=schema(kept), t=text)
    else:
        names = [name for name, _, _ in kept]
        user = draw.wording(WITH_FIELDS).format(f=f"{', '.join(names[:-1])} and {names[-1]}", t=text)
    return [Turn(user, json.dumps(expected, ensure_ascii=False), json_is(expected))]
