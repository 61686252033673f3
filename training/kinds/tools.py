"""Calls of tools that are read, not remembered: names, parameters and descriptions are drawn anew each time."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from training.dialogue import Check, Turn, call_text
from training.draw import Draw
from training.world import CITIES, NAMES, THINGS

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wish:
    """What a user wants of a tool: the words, the arguments they mean, what comes back and how it is told."""

    user: str
    arguments: Json
    result: Json
    reply: str
    told: Sequence[str]
    """Words that the reply must have."""


@dataclass(frozen=True, slots=True)
class Family:
    """Tools of one kind: how they may be called and described, and what can be wished of them."""

    verbs: Sequence[str]
    nouns: Sequence[str]
    descriptions: Sequence[str]
    parameters: Callable[[Draw], Json]
    """JSON schema properties, drawn; the names are what `wish` uses."""
    wish: Callable[[Draw, Json], Wish]


def place(draw: Draw) -> str:
    if draw.chance(0.6):
        return draw.item(CITIES)
    name = draw.word().capitalize()
    return f"{name}, {draw.word(1)[:2].upper()}" if draw.chance(0.4) else name


def person(draw: Draw) -> str:
    return draw.item(NAMES) if draw.chance(0.4) else draw.word().capitalize()


def key(parameters: Json, index: int) -> str:
    return list(parameters)[index]


LOCATIONS = ("location", "city", "place", "where", "town")
UNITS = ("celsius", "fahrenheit")


def weather_parameters(draw: Draw) -> Json:
    where = {
        "type": "string",
        "description": draw.any(("The city and state, e.g. San Francisco, CA", "The city", "Name of the city")),
    }
    unit = {"type": "string", "enum": list(UNITS)}
    name = "location" if draw.chance(0.4) else draw.any(LOCATIONS)
    if draw.chance(0.2):
        return {name: where}
    return {name: where, draw.any(("unit", "unit", "units", "scale")): unit}


WEATHER = [
    "What is the current weather in {} in {}?", "What is the weather in {} in {}?", "How warm is it in {} in {}?", "Tell me the weather in {} in {}.", "weather in {} in {}",
    "What's the weather like in {} in {}?", "Give me the weather for {} in {}.", "I need the weather in {} in {}.", "Could you check the weather in {} in {}?",
]  # fmt: skip
WEATHER_PLAIN = [
    "What is the current weather in {}?",
    "What is the weather in {}?",
    "How is the weather in {}?",
    "Tell me the weather in {}.",
    "What's the weather like in {}?",
    "Is it warm in {}?",
]


def weather(draw: Draw, parameters: Json) -> Wish:
    where, degrees = place(draw), draw.integer(-9, 99)
    sky = draw.any(("sunny", "cloudy", "rainy", "windy", "clear", "foggy"))
    arguments = {key(parameters, 0): where}
    user = draw.wording(WEATHER_PLAIN).format(where)
    if len(parameters) > 1:
        unit = draw.any(UNITS)
        arguments[key(parameters, 1)] = unit
        user = draw.wording(WEATHER).format(where, unit)
    result = {"temperature": degrees, "condition": sky}
    return Wish(user, arguments, result, f"It is {degrees} degrees and {sky} in {where}.", (str(degrees), sky))


def time_parameters(draw: Draw) -> Json:
    return {draw.any(("city", "location", "timezone_city", "place")): {"type": "string", "description": "The city"}}


def local_time(draw: Draw, parameters: Json) -> Wish:
    where, clock = place(draw), f"{draw.integer(0, 23):02d}:{draw.integer(0, 59):02d}"
    user = draw.wording(
        [
            "What time is it in {}?",
            "What is the local time in {}?",
            "Tell me the time in {}.",
            "time in {}",
            "What's the time in {} now?",
            "Which time is it in {}?",
        ]
    ).format(where)
    return Wish(user, {key(parameters, 0): where}, {"time": clock}, f"It is {clock} in {where}.", (clock,))


def stock_parameters(draw: Draw) -> Json:
    return {draw.any(("symbol", "ticker", "code")): {"type": "string", "description": "The stock symbol"}}


def stock(draw: Draw, parameters: Json) -> Wish:
    symbol, price = draw.word(1)[:4].upper(), draw.integer(2, 999)
    user = draw.wording(
        [
            "What is the stock price of {}?",
            "How much is one share of {}?",
            "Stock price of {}?",
            "Tell me the price of {} stock.",
            "Look up the stock {}.",
            "What does {} stock cost?",
        ]
    ).format(symbol)
    return Wish(
        user,
        {key(parameters, 0): symbol},
        {"price": price},
        f"One share of {symbol} costs {price}.",
        (symbol, str(price)),
    )


def convert_parameters(draw: Draw) -> Json:
    names = draw.any(
        (("amount", "from", "to"), ("value", "source", "target"), ("amount", "from_currency", "to_currency"))
    )
    return {names[0]: {"type": "number"}, names[1]: {"type": "string"}, names[2]: {"type": "string"}}


def convert(draw: Draw, parameters: Json) -> Wish:
    currencies = ("USD", "EUR", "GBP", "JPY", "CNY", "CHF", "INR", "SEK", "KRW", "BRL")
    source, target = draw.rng.sample(currencies, 2)
    amount, value = draw.integer(2, 990), draw.integer(2, 9999)
    user = draw.wording(
        [
            "Convert {} {} to {}.",
            "How much is {} {} in {}?",
            "What is {} {} in {}?",
            "Change {} {} into {}.",
            "Exchange {} {} for {}.",
        ]
    ).format(amount, source, target)
    arguments = dict(zip(parameters, (amount, source, target), strict=True))
    return Wish(user, arguments, {"result": value}, f"{amount} {source} is {value} {target}.", (str(value), target))


def message_parameters(draw: Draw) -> Json:
    names = draw.any((("to", "text"), ("recipient", "message"), ("name", "body")))
    return {
        names[0]: {"type": "string", "description": "Who gets it"},
        names[1]: {"type": "string", "description": "What to say"},
    }


def message(draw: Draw, parameters: Json) -> Wish:
    to = person(draw)
    text = (
        " ".join(draw.word() for _ in range(draw.integer(1, 3)))
        if draw.chance(0.5)
        else draw.any(("see you soon", "I am late", "happy birthday", "call me", "dinner is ready", "good luck"))
    )
    user = draw.wording(
        [
            "Send {} a message: {}",
            "Tell {}: {}",
            "Write to {}: {}",
            "Send a message to {}: {}",
            "Message {}: {}",
            "Text {}: {}",
        ]
    ).format(to, text)
    return Wish(
        user,
        dict(zip(parameters, (to, text), strict=True)),
        {"status": "sent"},
        f"I have sent the message to {to}.",
        (to,),
    )


def search_parameters(draw: Draw) -> Json:
    parameters: Json = {
        draw.any(("query", "q", "keywords", "text")): {"type": "string", "description": "What to look for"}
    }
    if draw.chance(0.4):
        parameters[draw.any(("limit", "count", "max_results"))] = {"type": "integer"}
    return parameters


def search(draw: Draw, parameters: Json) -> Wish:
    what = draw.item(THINGS) if draw.chance(0.4) else f"{draw.word()} {draw.word()}"
    arguments: Json = {key(parameters, 0): what}
    if len(parameters) > 1:
        count = draw.integer(2, 20)
        arguments[key(parameters, 1)] = count
        user = draw.wording(
            [
                "Search for {1} results about {0}.",
                "Find {1} pages about {0}.",
                "Look up {1} results on {0}.",
                "Get me {1} results about {0}.",
            ]
        ).format(what, count)
    else:
        user = draw.wording(
            [
                "Search for {}.",
                "Search the web for {}.",
                "Look up {} on the web.",
                "Find pages about {}.",
                "Do a search for {}.",
                "Please search {}.",
            ]
        ).format(what)
    title = f"{draw.word().capitalize()} {draw.word()}"
    return Wish(user, arguments, {"title": title}, f"I found this: {title}.", (title,))


def timer_parameters(draw: Draw) -> Json:
    return {draw.any(("minutes", "duration", "length")): {"type": "integer", "description": "Minutes"}}


def timer(draw: Draw, parameters: Json) -> Wish:
    minutes = draw.integer(2, 90)
    user = draw.wording(
        [
            "Set a timer for {} minutes.",
            "Start a timer of {} minutes.",
            "Timer for {} minutes, please.",
            "Wake me in {} minutes.",
            "Remind me in {} minutes.",
            "Give me a timer of {} minutes.",
        ]
    ).format(minutes)
    return Wish(
        user,
        {key(parameters, 0): minutes},
        {"status": "started"},
        f"The timer is set for {minutes} minutes.",
        (str(minutes),),
    )


def translate_parameters(draw: Draw) -> Json:
    names = draw.any((("text", "language"), ("sentence", "target"), ("words", "to")))
    return {
        names[0]: {"type": "string"},
        names[1]: {"type": "string", "enum": ["French", "German", "Spanish", "Chinese"]},
    }


def translate(draw: Draw, parameters: Json) -> Wish:
    text = (
        " ".join(draw.word() for _ in range(draw.integer(1, 3)))
        if draw.chance(0.6)
        else draw.any(("good morning", "thank you", "where is the station", "I like tea"))
    )
    language = draw.any(("French", "German", "Spanish", "Chinese"))
    said = draw.word()
    user = draw.wording(
        [
            "Translate {} into {}.",
            "Translate {} to {}.",
            "How do you say {} in {}?",
            "What is {} in {}?",
            "Put {} into {}.",
        ]
    ).format(f"'{text}'", language)
    return Wish(
        user,
        dict(zip(parameters, (text, language), strict=True)),
        {"translation": said},
        f"In {language} it is: {said}",
        (said,),
    )


def light_parameters(draw: Draw) -> Json:
    names = draw.any((("room", "on"), ("place", "state"), ("lamp", "enabled")))
    return {names[0]: {"type": "string"}, names[1]: {"type": "boolean"}}


def light(draw: Draw, parameters: Json) -> Wish:
    room, on = draw.any(("kitchen", "bedroom", "hall", "garage", "bathroom", "office", draw.word())), draw.chance(0.5)
    state = "on" if on else "off"
    user = draw.wording(
        [
            "Turn {s} the light in the {r}.",
            "Switch {s} the {r} light.",
            "Turn the {r} light {s}.",
            "Please turn {s} the light in the {r}.",
            "Switch the light in the {r} {s}.",
        ]
    ).format(s=state, r=room)
    return Wish(
        user,
        dict(zip(parameters, (room, on), strict=True)),
        {"status": "done"},
        f"The light in the {room} is {state}.",
        (room, state),
    )


FAMILIES: Mapping[str, Family] = {
    "weather": Family(("get", "fetch", "look_up", "query", "read"), ("current_weather", "weather", "forecast", "temperature", "climate"), ("Get the current weather in a given location", "Weather of a city", "Look up the weather"), weather_parameters, weather),
    "time": Family(("get", "fetch", "tell", "query"), ("local_time", "time", "clock", "city_time"), ("Get the local time of a city", "Tell the time in a city", "Current time"), time_parameters, local_time),
    "stock": Family(("get", "fetch", "look_up", "query"), ("stock_price", "quote", "share_price", "stock"), ("Get the price of a stock", "Stock price by symbol", "Look up a share price"), stock_parameters, stock),
    "convert": Family(("convert", "exchange", "change"), ("currency", "money", "amount"), ("Convert an amount between currencies", "Exchange money", "Currency conversion"), convert_parameters, convert),
    "message": Family(("send", "post", "write"), ("message", "text", "note", "mail"), ("Send a message to somebody", "Send a text", "Write to a person"), message_parameters, message),
    "search": Family(("search", "query", "find"), ("web", "pages", "internet", "documents"), ("Search the web", "Find pages about something", "Web search"), search_parameters, search),
    "timer": Family(("set", "start", "create"), ("timer", "alarm", "reminder", "countdown"), ("Set a timer", "Start a countdown", "Remind the user later"), timer_parameters, timer),
    "translate": Family(("translate", "convert"), ("text", "words", "language", "sentence"), ("Translate a text", "Translate words into a language", "Translation"), translate_parameters, translate),
    "light": Family(("switch", "set", "turn"), ("light", "lamp", "lights"), ("Turn a light on or off", "Switch a lamp", "Control a light"), light_parameters, light),
}  # fmt: skip


def tool(name: str, description: str, parameters: Json) -> Json:
    schema = {
        "type": "object",
        "properties": parameters,
        "required": list(parameters)[:1]
        if len(parameters) == 2 and "enum" in list(parameters.values())[1]
        else list(parameters),
    }
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


def tool_name(draw: Draw, family: Family) -> str:
    """A name of the family, often with a made-up part."""
    verb, noun = draw.any(family.verbs), draw.any(family.nouns)
    style = draw.integer(0, 9)
    if style < 4 and not draw.held:
        return f"{verb}_{noun}"
    if style < 6:
        return f"{verb}{draw.word().capitalize()}{noun.title().replace('_', '')}"
    if style < 8:
        return f"{draw.word()}_{noun}"
    return f"{verb}_{noun}_{draw.word()}"


def read_calls(answer: str) -> list[Json] | None:
    """The calls of an answer that consists of calls; None if it has anything else or one is not JSON."""
    blocks = re.findall(r"<tool_call>\s*(.*?)\s*</tool_call>", answer, re.DOTALL)
    if not blocks or re.sub(r"<tool_call>.*?</tool_call>", "", answer, flags=re.DOTALL).strip():
        return None
    try:
        return [json.loads(block) for block in blocks]
    except ValueError:
        return None


def calls_are(expected: Sequence[Json]) -> Check:
    return lambda answer: read_calls(answer) == list(expected)


def offered(draw: Draw, wanted: str | None) -> tuple[list[Json], Json]:
    """Tools in random order, with the one of the family `wanted`; and that one's parameters."""
    names = [n for n in FAMILIES if n != wanted]
    others = draw.rng.sample(names, draw.any((0, 0, 1, 1, 2, 3)) if wanted else draw.integer(1, 3))
    tools, parameters = [], {}
    for name in [*others, *([wanted] if wanted else [])]:
        family = FAMILIES[name]
        drawn = family.parameters(draw)
        made = tool(tool_name(draw, family), draw.any(family.descriptions), drawn)
        if name == wanted:
            parameters = drawn | {"__name__": made["function"]["name"]}
        tools.append(made)
    draw.rng.shuffle(tools)
    return tools, parameters


def one_call(draw: Draw) -> tuple[list[Json], Turn]:
    wanted = "weather" if draw.chance(0.35) else draw.any(list(FAMILIES))
    tools, parameters = offered(draw, wanted)
    name = parameters.pop("__name__")
    wish = FAMILIES[wanted].wish(draw, parameters)
    call = {"name": name, "arguments": wish.arguments}
    return tools, Turn(
        wish.user,
        call_text(**call),
        calls_are([call]),
        [json.dumps(wish.result, ensure_ascii=False)],
        wish.reply,
        lambda answer: all(word in answer for word in wish.told) and "<tool_call>" not in answer,
    )


TWO = [
    "What is the current weather in {} and {} in {}?", "What is the weather in {} and {} in {}?", "Tell me the weather in {} and {} in {}.", "How warm is it in {} and {} in {}?",
    "Give me the weather for {} and {} in {}.", "I need the weather in {} and {} in {}.", "What's the weather like in {} and {} in {}?",
]  # fmt: skip
TWO_TIMES = [
    "What time is it in {} and {}?",
    "Tell me the time in {} and {}.",
    "What is the local time in {} and {}?",
    "Time in {} and in {}?",
    "What's the time in {} and {} now?",
]


def two_calls(draw: Draw) -> tuple[list[Json], Turn]:
    wanted = "weather" if draw.chance(0.75) else "time"
    tools, parameters = offered(draw, wanted)
    name = parameters.pop("__name__")
    cities = [place(draw), place(draw)]
    shared: Json = {}
    if wanted == "time":
        user = draw.wording(TWO_TIMES).format(*cities)
    elif len(parameters) > 1:
        unit = draw.any(UNITS)
        shared = {key(parameters, 1): unit}
        user = draw.wording(TWO).format(*cities, unit)
    else:
        user = draw.wording(TWO).replace(" in {}?", "?").replace(" in {}.", ".")
        user = user.format(*cities) if user.count("{}") == 2 else f"What is the weather in {cities[0]} and {cities[1]}?"
    calls = [{"name": name, "arguments": {key(parameters, 0): city} | shared} for city in cities]
    results = (
        [json.dumps({"temperature": draw.integer(-9, 99)}) for _ in cities]
        if wanted == "weather"
        else [json.dumps({"time": f"{draw.integer(0, 23):02d}:{draw.integer(0, 59):02d}"}) for _ in cities]
    )
    values = [str(next(iter(json.loads(result).values()))) for result in results]
    unit_word = " degrees" if wanted == "weather" else ""
    reply = f"It is {values[0]}{unit_word} in {cities[0]} and {values[1]}{unit_word} in {cities[1]}."
    return tools, Turn(
        user, "\n".join(call_text(**call) for call in calls), calls_are(calls), results, reply,
        lambda answer: all(value in answer for value in values),
    )  # fmt: skip


def no_call(draw: Draw, plain: Turn) -> tuple[list[Json], Turn]:
    """Tools that do not fit what is asked."""
    tools, _ = offered(draw, None)
    return tools, Turn(plain.user, plain.answer, lambda answer: "<tool_call>" not in answer and plain.check(answer))
