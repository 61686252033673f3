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
    if draw.chance(0.5):
        return draw.item(CITIES)
    name = draw.word().capitalize()
    if draw.chance(0.4):
        name = f"{draw.any(('New', 'San', 'Port', 'Saint', 'Old', 'East', draw.word().capitalize()))} {name}"
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


ASK = "[|Please |Can you |Could you |Would you |I want you to |I'd like you to |You should |Now |Hi, |Kindly ]"
WEATHER = [
    "[What|What's|How] [is the|is the current|will be the|is today's] [weather|temperature|forecast|climate|weather now|air] [|like ][in|at|for|of|over] {where}{unit}[?| now?| today?|.|]", f"{ASK}[tell me|give me|get|check|look up|find|fetch|show me|report|read|say] [the|the current|today's] [weather|temperature|forecast] [in|for|of|at] {{where}}{{unit}}[.|?|]",
    "How [warm|cold|hot|nice|mild] is it [|now |today |outside ][in|at] {where}{unit}[?|]", "[Weather|Temperature|Forecast|Current weather][ in| for|:| of] {where}{unit}[?|.|]", "[I want to know|I would like|Let me know|I am asking for|Show|Compare] the [weather|temperature|forecast] [in|of|for] {where}{unit}[.|]", "In {where}, [what is|what's|how is] the [weather|temperature]{unit}?",
    "[Will it|Does it|Is it going to] [rain|snow|storm|be sunny|be warm] [|today |now |tomorrow ]in {where}{unit}?", "[I travel|I go|We fly|I am going] to {where}[. What is|; how is|. Tell me] the weather[| there]{unit}[?|.|]", "[Is it|Will it be] [warm|cold|hot|sunny] in {where}{unit}[?| today?]", "What is the current weather in {where}{unit}?", "What's the weather like in {where}{unit}?", "Tell me the weather in {where}{unit}.",
    "I need the weather in {where}{unit}.", "Could you check the weather in {where}{unit}?",
]  # fmt: skip
IN_UNIT = (" in ", " in ", " in ", " in ", ", in ", " as ", " using ", ", please in ", " in degrees ", ", unit: ")


def weather_question(draw: Draw, where: str, unit: str | None) -> str:
    """A question about the weather of one place or several, in a unit if one is given."""
    told = "" if unit is None else f"{' in ' if draw.held else draw.any(IN_UNIT)}{unit}"
    return draw.wording(WEATHER).format(where=where, unit=told)


def weather(draw: Draw, parameters: Json) -> Wish:
    where, degrees = place(draw), draw.integer(-9, 99)
    sky = draw.any(("sunny", "cloudy", "rainy", "windy", "clear", "foggy"))
    arguments = {key(parameters, 0): where}
    unit = draw.any(UNITS) if len(parameters) > 1 else None
    if unit is not None:
        arguments[key(parameters, 1)] = unit
    user = weather_question(draw, where, unit)
    result = {"temperature": degrees, "condition": sky}
    return Wish(user, arguments, result, f"It is {degrees} degrees and {sky} in {where}.", (str(degrees), sky))


def time_parameters(draw: Draw) -> Json:
    return {draw.any(("city", "location", "timezone_city", "place")): {"type": "string", "description": "The city"}}


def local_time(draw: Draw, parameters: Json) -> Wish:
    where, clock = place(draw), f"{draw.integer(0, 23):02d}:{draw.integer(0, 59):02d}"
    user = draw.wording(
        [
            "[What|Which] [time|hour] is it [|now |right now |at the moment ]in {}[?|]",
            "[What is|What's|Tell me|Give me|I need|Check|Look up|Get|Say] the [time|local time|current time|hour|time of day] [|now ][in|for|of|at] {}[?|.|]",
            "[Time|Clock|Local time|Hour|Current time][ in| for|:| of] {}[?|.|]",
            "How late is it [|now ]in {}[?|]",
            "[I want to call|I call|Who is awake in|I have a friend in] {}[. What time is it there?|; which time is it?|. Tell me the time there.]",
            "[What's|What is|Tell me|Say] the [time|hour|local time] in {} [right now|at the moment|today|just now|currently][?|.|]",
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
            "[What is|What's|Tell me|Give me|Show me|Check|Look up|Get|Find|Fetch|I need] the [price|stock price|share price|quote|value|current price] [of|for] {}[?|.|]",
            "[How much|What] [is|does|costs|do I pay for] [a|one] [share|stock] of {}[| cost][?|]",
            "[Quote|Share price|Price|Stock|Ticker][ of| for|:] {}[?|.|]",
            "[How much|What] is {} [trading at|worth|at|worth now][?|]",
            "[How much does|What does] [a|one] {} [share|share cost|stock cost][?|]",
            "[How is|How are] {} [doing|shares doing|at the market][?|]",
            "[What is|What's] {} [at|stock at|trading for][?|]",
            "[What|How much] [would|will|could|did] {} [stock|shares|a share of it] cost[?|]",
            "[Look up|Check|Find|Get|Show me|Fetch] [stock|shares of|the share|the ticker|the symbol|the quote of] {}[.|?|]",
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
            "[|Please |Can you |Could you |Now ][convert|change|turn|exchange|switch|calculate|swap] {} {} [to|into|for|in][|:] {}[.|?|]",
            "[How much|How many|What] [is|are|would be|makes|do I get for] {} {} in {}[?|]",
            "{} {} [in|to|into|as|=|are how many|is how much in] {}[?|]",
            "[I have|I want to change|I need to exchange|Take] {} {}[. How much is that in|; give me|. Convert it to|, and I want| into] {}[?|.|]",
            "[What do I get for|What will I get for] {} {} in {}?",
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
            "[|Please |Can you |Could you |Now ][send|write|give|drop|text|mail] {} [a message|this|a note|a text|a line|the words|the following][: |:| saying | that says |, ]{}",
            "[|Please ][tell|let|inform|notify|ask|answer|reply to|ping|email|contact] {}[: | that | this: |: ]{}",
            "[Message|Note|Text|Mail|A message] [to|for] {}[: |, |; text: | - ]{}",
            "[Write to|Send to|Speak to|Get back to] {}[: | and say | that | with ]{}",
            "[I want to|Help me to|You should|Let us] [tell|write to|send] {}[: | this: ]{}",
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
                "[|Please |Can you |Now ][search for|search|get me|find me|show me|look for|give me|list] {1} [results|pages|hits|links|documents|articles|sites] [about|on|for|with] {0}[.|?|]",
                "[Show|I need|I want|Give me] [the first|the best|the top|at most|only] {1} [results|pages|hits|links] [about|on|for] {0}[.|]",
                "[Look for|Search for|Find] {0}[, | and show | and give me | - |; I want ]{1} results[.|]",
                "Search for {1} results about {0}.",
                "Find {1} pages about {0}.",
                "Look up {1} results on {0}.",
                "Get me {1} results about {0}.",
            ]
        ).format(what, count)
    else:
        user = draw.wording(
            [
                "[|Please |Can you |Could you |Now |You should ][search for|look for|look up|find|google|seek|query|search the web for|search the internet for|find out about|find something about] {}[.|?| online.| on the internet.| for me.|]",
                "[|Please ][search|browse|check|scan|query] the [web|internet|pages|documents|net] [for|about] {}[.|]",
                "[Find|Show me|Get|I need|I want|Are there|Give me] [pages|documents|something|articles|results|sites|links] [about|on|with] {}[.|?|]",
                "[What can you find|What does the web say|What do you find] about {}[?| online?]",
                "[Start|Run|Make|I need] a [search|web search|query] [for|on|about] {}[.|]",
                "[Search|Web search|Query][: | - |; ]{}",
                "search {}[ now| online| on the web].",
                "I [want to|need to|have to] [read about|look up|search for|find] {}[.|]",
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
            "[|Please |Can you |Could you |Now ][set|start|make|create|run|begin|give me|put on|add] [a|the|my] [timer|alarm|countdown|reminder|clock] [for|of|to|at|in|with] {} minutes[.|?|]",
            "[|Please ][wake|remind|call|alert|ping|warn] me [in|after] {} minutes[.|]",
            "[Timer|Countdown|Alarm][ for|:|, | of] {} [minutes|min][.|, please.|]",
            "[I need|I want|I would like] [a timer of|a reminder in|to wait|an alarm in] {} minutes[.|]",
            "[In|After] {} minutes [ring|wake me|remind me|beep|call me][.|]",
            "{} minutes[ timer|, timer please| countdown][.|]",
            "[Remind|Wake|Call] [me|us] [again |]in {} minutes[.|, please.| from now.]",
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
            "[|Please |Can you |Could you |Now ][translate|put|turn|render|convert|bring|say|write] {} [into|to|in|as] {}[.|?|]",
            "[How|What] [do you say|does one say|do I say|is|would be|do they say for] {} in {}[?|]",
            "[What|How] is {} [called|said|written] in {}[?|]",
            "[Translation|Translate][ of|:] {} [into|to|in|-] {}[.|?|]",
            "{}: [how is that|what is that|say that|translate it] [in|to|into] {}[?|.|]",
            "[I need|I want|Give me|Tell me] {} in {}[.|]",
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
            "[|Please |Can you |Could you |Now |You should ][turn|switch|put] {s} [the|a|every] [light|lamp|lights|bulb] [in|of|at] the {r}[.|?|]",
            "[|Please |Now ][turn|switch|put] the [light|lamp|lights] [in|of|at] the {r} {s}[.|]",
            "[|Please ][turn|switch|put|set] [the|my|our] {r} [light|lamp|lights] [|to ]{s}[.|]",
            "[Light|Lamp|Lights] {s} in the {r}[.|, please.|!|]",
            "{r} [light|lamp|lights][ | to |: ]{s}[.|, please.|]",
            "[In the|For the] {r}[,|] [turn|switch|put] [the light|the lamp|it] {s}[.|]",
            "[I want|I'd like|I need] the [light|lamp] in the {r} [turned|switched|to be|to go] {s}[.|]",
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


AND = (" and ", " and ", " and ", " and in ", " and also ", " as well as ", ", ", " & ")
TWO_TIMES = [
    "[What|Which] [time|hour] is it [|now |right now ]in {}[ and| and in| and also in| as well as in] {}[?|]",
    "[What is|What's|Tell me|Give me|I need|Check|Look up|Get|Say|Compare] the [time|local time|current time|hour] [|now ][in|for|of] {}[ and| and in| as well as| and also] {}[?|.|]",
    "[Clock|Local time|Hour|Current time|Times][ in| for|:| of] {}[ and| and in|,| &] {}[?|.|]",
    "How late is it [|now ]in {}[ and| and in] {}[?|]",
    "[I call|I have friends in] {} and {}[. What time is it there?|; which time is it?]",
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
    else:
        unit = draw.any(UNITS) if len(parameters) > 1 else None
        shared = {} if unit is None else {key(parameters, 1): unit}
        both = " and " if draw.held else draw.any(AND)
        user = weather_question(draw, f"{cities[0]}{both}{cities[1]}", unit)
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
