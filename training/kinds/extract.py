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


def person_in_clauses(draw: Draw, name: str, age: int, city: str, job: str) -> str:
    """The facts in any order, each said in one of several ways."""
    clauses = [
        draw.spelt(f"[is|is aged|turned|has turned|is now|will soon be] {age}[| years old| years of age]"),
        draw.spelt(f"[lives in|comes from|is from|was born in|stays in|moved to|has a house in|grew up in|travelled from] {city}"),
        draw.spelt(f"[works as|is|is employed as|has a job as|wants to stay|earns money as|became] a {job}"),
    ]  # fmt: skip
    first, second, third = (clause[0].lower() + clause[1:] for clause in draw.rng.sample(clauses, 3))
    he = draw.any(("He", "She", name))
    ways = [
        f"{name} {first}, {second} and {third}.",
        f"{name}, who {first}, {second} and {third}.",
        f"{name} {first}. {he} {second} and {third}.",
        f"{name} {first} and {second}. {he} {third}.",
        f"[Here is what I know:|They say|We heard that|It is said that|The paper says:] {name} {first}, {second} and {third}.",
    ]  # fmt: skip
    return draw.spelt(draw.any(ways))


def about_person(draw: Draw) -> tuple[str, list[Fact]]:
    name, age, city, job = person(draw), draw.integer(18, 90), place(draw), draw.item(JOBS)
    if draw.held or draw.chance(0.5):
        text = draw.wording([
            f"[The|Our|Their|This|One|Your] {job} of {age}[| years| years of age], {name}, [lives in|works in|writes from|is at home in|left] {city}[.|!]",
            f"[Our|A|The|My|That] {job}, {name}, [is {age}|is {age} years old|turned {age}|will be {age}|aged {age}] and [lives in|comes from|stays in|moved to] {city}.",
            f"[My|That|Your|Our|The|A] {age}[-year-old| year old] {job}[, {name},| {name}| called {name}| named {name}] [lives in|is from|comes from|travelled to|loves] {city}.",
            f"[Our|The|A|That] {job} [from|in|of|near] {city}[,| is|:| is called| is named] {name}[,|, aged|, now| and is|;] {age}[| years old].",
            f"[In|At|For] {city} [our|the|a|their] {job} [is|was|will be|is called] {name}, [aged|now|who is|already] {age}[|, they say].",
            f"{name} is {age} years old, lives in {city} and works as a {job}.",
            f"{name} is a {job} from {city}, {age} years old.",
            f"The {job} {name}, aged {age}, lives in {city}.",
            f"[My friend|My neighbour|A woman called|A man named] {name} lives in {city}. {name} is {age} and a {job}.",
            f"{name} ({age}) is a {job} [in|from] {city}.",
            f"[At the age of {age}|Being {age}|Now {age}], {name} [lives in|moved to|came to] {city} [to work as|and became] a {job}.",
            f"[Do you know|Have you met|This is|Let me introduce|Yesterday I met|I talked to] {name}, [a|the] {age}[ |-]year[| ][|-]old {job} from {city}[.|!]",
            f"[In|From] {city} [comes|is|writes|works] [a|the] {job} [named|called] {name}, {age} [years|years old|years of age].",
            f"A {job} from {city}, {name}, [is|turned|has turned|will be] {age}[| today| this year].",
            f"[In|From|Near|Outside] {city} [lives|works|sits|stays|grew up|was born|teaches|waits] [|a certain |our friend |the famous |young |old ]{name}[,| -] [a|the|once a|now a|still a] {job}[ aged| of|, now| with|, already] {age}[| years| years old|, they say].",
            f"{name}, [a|the|our|once a|still a] {job}[ aged| of|, now| who turned| who is almost|, age] {age}[| years], [lives in|is at home in|moved to|was born in|writes from|went to|stays in|comes from] {city}[.|!| now.]",
            f"[There is|I know|We hired|They found|Here comes] [a|the] {job} [in|from] {city}[:|, named|, called|, whose name is] {name}, [aged|age|who is|now] {age}[.| years old.]",
            f"[Aged|At|Now] {age}[ years|], [the|our] {job} {name} [lives in|left|moved to|returned to|stays in] {city}.",
            f"Name: {name}. Age: {age}. City: {city}. Job: {job}.",
            f"In {city} lives {name}, a {job} of {age} years.",
            f"{name}[, a| is a|, once a] {job} [who|that] [lives in|works in|left|loves] {city}[ and is|, is|, aged|;] {age}[| years old].",
        f"[The|A|Our|That] {job} [who|that] [is|turned] {age}[| years old], {name}, [lives in|is from|stays in] {city}.",
        f"{name}, a {job} who is {age}, comes from {city}.",
        ])  # fmt: skip
    else:
        text = person_in_clauses(draw, name, age, city, job)
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
        f"The {colour} {product} [costs|is sold for|sells for|is priced at|is offered at|goes for|will cost you] {price} [dollars|euros|coins] and is {state}.",
        f"[A|This|One|Every] {product} in {colour} is {state}, [for|at|priced at] {price} dollars.",
        f"[For|At] {price} dollars [you get|you can have|we sell|they sell] [the|a|this] {colour} {product}[; it is|, which is|. It is|, now] {state}.",
        f"[The|This|My] {product} is {colour}[. It costs|, costs|; it costs|, at] {price} dollars[.|,| and] [It is|is] {state}.",
        f"[{state}|Now {state}|{state} today]: [the|a|our] {colour} {product}[ for|, price|. Price:| at] {price} dollars.",
        f"[How about|Look at|Have you seen|We have|I saw|Do you want] [the|a|this] {colour} {product}[? It|. It|, it] is {state} [and costs|for|at] {price} dollars.",
        f"[Product|Item|Article]: {product}[.|,|;] [color|Color]: {colour}[.|,|;] [price|Price]: {price}[| dollars][.|,|;] {state}.",
        f"[Pay|Give|Spend] {price} dollars [and take|for] the {product}, the {colour} one[, which is|; it is|, now] {state}.",
        f"[We sell|Buy|Order|Take|See] [our|the|this] {colour} {product} [for|at] {price} dollars[; it is|, it is|. It is|:] {state}.",
        f"[The cost|The value|Price] of [this|our|one|a] {product}[, {colour},| in {colour}] is {price} dollars[. It is|, and it is|;] {state}.",
        f"[The|This|A|My|One] {product} ({colour})[:|,| costs| is| for] {price} dollars[,|;|, now] {state}.",
        f"[Item|Today|New|Offer|Sale]: {product} ({colour}), [{state}, {price} dollars|{price} dollars, {state}].",
        f"[They|We|I|Some] [have|sell|offer|want] [a|the|one] {product} ([in |]{colour}[, {state}) for {price} dollars|) for {price} dollars, {state}].",
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
        f"[You can reach|Reach|You will find|Ask for|Get in touch with|Mail] {name} [at|by mail at|under|via] {email} [or|and|or by phone at|, or call|or at] {phone}.",
        f"{name}['s email is|'s address is|'s mail is| has the email| uses| writes from] {email} and [the|the phone|her|his] [phone number|number|phone] is {phone}.",
        f"[Write to|Mail|Ask|Contact|Call] {name}: {email}[. Phone: |, phone |, tel. |; phone number |. Or call ]{phone}.",
        f"[Phone|Call|Dial|Ring] {phone} [for|to talk to|to reach|and ask for] {name}[, or write to |, email |; mail: |. The email is ]{email}.",
        f"[The|Her|His] [email|mail address|address] is {email}, [the phone|the number|and the phone number is|phone] {phone}, [the name|the person is|ask for|and the name is] {name}.",
        f"Name: {name}[,|.|;] [email|Email|mail]: {email}[,|.|;] [phone|Phone|tel]: {phone}[.|]",
        f"{name} [can be reached|is available|answers] [at|under] {email} [and|or] [on|under|by phone on] {phone}.",
        f"[My colleague|Our helper|The boss|Your contact|My friend] is {name} ({email}, {phone}).",
        f"[If you need help|When in doubt|In case of trouble], [call|ask|write to] {name}, {email} or {phone}.",
        f"For [help|orders|details|more|tickets|advice|a visit] [ask|write to|call|see|contact|talk to|find] {name}[,|:| at| by] {email}[,|;| or| and] {phone}.",
        f"[Contact|Help|Person|Ask|Owner|Sender][:| is|,] {name}[,| at| -] {email}[, phone|, tel|;|,] {phone}.",
        f"[In a hurry|With questions|For all else|On Mondays], [call|ask|write to|reach] {name}[:|,| at] {email}[, {phone}|, phone {phone}| or {phone}].",
        f"Contact {name} at {email}, phone {phone}.",
        f"For questions ask {name}, {email}, {phone}.",
    ])  # fmt: skip
    return text, [("name", "string", name), ("email", "string", email), ("phone", "string", phone)]


def about_event(draw: Draw) -> tuple[str, list[Fact]]:
    event = f"{draw.word()} {draw.any(('meeting', 'party', 'concert', 'workshop', 'talk'))}"
    date, where = f"20{draw.integer(20, 35)}-{draw.integer(1, 12):02d}-{draw.integer(1, 28):02d}", place(draw)
    guests = draw.integer(5, 500)
    text = draw.wording([
        f"The {event} [takes place|will be|is|is held|happens|starts] in {where} on {date} with {guests} [guests|people|visitors|guests invited].",
        f"On {date} [there is|we have|they hold|we plan|you can see] [a|the] {event} in {where} [for|with] {guests} [guests|people].",
        f"{guests} guests [come to|visit|attend|join|are expected at|signed up for] the {event} in {where} on {date}.",
        f"[In|At] {where}[, on {date},| on {date}] {guests} guests [come to|attend|will see|enjoy] [a|the] {event}.",
        f"[Join|Visit|Do not miss|Save the date for] the {event}[:| on] {date}[, in| in|, place:] {where}[, for|, with|;] {guests} guests.",
        f"[Invitation|Event|News|Notice]: {event}, {date}, {where}, {guests} guests.",
        f"[The|This|Our] {event} [on|of] {date} [brings|draws|has room for|welcomes] {guests} guests [to|in] {where}.",
        f"[We expect|There will be|We invited] {guests} guests [for|at] the {event}[. It is on|, on] {date} in {where}.",
        f"{where} [will host|hosts|welcomes|is the place of] [a|the] {event} on {date}[. There will be|, with|;] {guests} guests.",
        f"[Come|Go|Travel|Hurry|Drive|Welcome] to {where}[ on|,|, on] {date}[:|,|;| for] [the|a|our] {event} [has|with|for|awaits|needs|wants|counts on] {guests} guests.",
        f"[We|They|Friends] [plan|have|host|organize|announce] [a|the|our] {event} [on|for] {date} [in|at] {where}[;|, and|. Then|:] {guests} guests [are coming|come|may come|will be there].",
        f"We hold the {event} on {date} in {where}; {guests} guests will come.",
        f"Come to {where} on {date}: the {event} expects {guests} guests.",
    ])  # fmt: skip
    return text, [
        ("event", "string", event),
        ("date", "string", date),
        ("location", "string", where),
        ("guests", "integer", guests),
    ]


FIELDS = """weight owner country language year size brand title author score team day month height speed model version
street number room floor member teacher winner subject author animal food drink start end source target total""".split()


def about_anything(draw: Draw) -> tuple[str, list[Fact]]:
    """Fields that are named in the text, so that the names of a schema are read and not remembered."""
    facts: list[Fact] = []
    for name in draw.rng.sample(FIELDS, draw.integer(2, 5)):
        number = draw.chance(0.35)
        value = draw.integer(1, 5000) if number else draw.any((draw.word(), place(draw), person(draw)))
        facts.append((name if draw.chance(0.7) else draw.word(), "integer" if number else "string", value))
    way = draw.any(
        ("{}: {}", "the {} is {}", "{} = {}", "{} is {}", "its {} is {}", "with {} {}", "we know the {}: {}")
    )
    text = draw.any((", ", "; ", " and ", ". ", "\n")).join(way.format(name, value) for name, _, value in facts)
    return f"{text}.", facts


SOURCES = (about_person, about_person, about_product, about_contact, about_event)


def schema(facts: list[Fact]) -> str:
    properties = {name: {"type": kind} for name, kind, _ in facts}
    return json.dumps({"type": "object", "properties": properties, "required": list(properties)})


THE_FACTS = "[the|all|the main|these|its] [facts|data|information|values|fields|details]"
THE_TEXT = "[this|the|the following|the next|this short|the given] [text|sentence|line|passage|note|message]"
IN_JSON = "[as|in|into] [JSON|a JSON object|valid JSON|one JSON object]"
SCHEMA = "[schema|JSON schema|format|structure|JSON Schema]"
TEXT = "[\n|\n\n| |\nText: |\nSentence: |\nInput: |\n\nText:\n|\nHere is the text: |\nThe text: |\nNote: ]{t}"
WITH_SCHEMA = [
    f"[|Please |Can you |Could you |Now ][extract|get|take|pull|find|collect|give me|list] {THE_FACTS} {IN_JSON} [for|by|with|that fits|that matches|after|following|in] [this|the|the following] {SCHEMA}: {{s}}{TEXT}",
    f"[|Please |Can you |You should |Now ][extract|get|take|pull|find|read|turn|put|convert] {THE_FACTS} [from|of|in|out of] {THE_TEXT} {IN_JSON}. {SCHEMA}: {{s}}{TEXT}",
    f"[|Please |Now |Always ][return|answer with|reply with|write|give|produce|output|make|respond with] [|only |just |a |one ]JSON [that matches|that fits|that follows|for|by|with|in the form of|according to] [this|the|the given] {SCHEMA}[:|:\n| ]{{s}}{TEXT}",
    "[Text: |Sentence: |Input: ||Note: ]{t}[\n|\n\n][Schema: |JSON schema: |Give me JSON for the schema |Write JSON for the schema |Return JSON with the schema |Answer in JSON with this schema: |As JSON for this schema: |Extract the facts by this schema: |Fill this schema: ]{s}",
    "[Schema|JSON schema|Format|The schema|Structure][:|: |:\n]{s}\n[Sentence: |Text: |Input: |The text: |]{t}[|\nAnswer in JSON.|\nJSON:|\nGive me the JSON.|\nReply with JSON only.|\nNow the JSON.|\nOutput:]",
    f"[|Please ][fill|fill in|complete|use|follow|apply|take|obey|stick to] [this|the|the following] {SCHEMA}[:|:\n| with the text below:| for the sentence below:|. ]{{s}}{TEXT}",
    f"[Here is|This is|I have|You get|Below is] [a|the|my] [text|sentence|note]: {{t}}\n[Extract|Give me|I need|I want|Return|Show me|Tell me] {THE_FACTS} {IN_JSON}[. The schema: | by this schema: | for: | with the schema ]{{s}}",
    f"[What are|Which are] {THE_FACTS} in {THE_TEXT}? [Use|Follow|Answer by|Reply by|Answer in JSON for] [the|this] {SCHEMA}[:|] {{s}}{TEXT}",
    f"[From|Out of|Using] {THE_TEXT}, [fill|make|build|create|produce|write] [a|the] JSON object [for|by|of|with] [the|this] {SCHEMA} {{s}}{TEXT}",
    f"[|Please |Now ][read|look at|study|take|analyze|parse] {THE_TEXT} and [give|return|write|output|produce|answer with] {IN_JSON} [by|for|with] [this|the] {SCHEMA}[:|.|:\n] {{s}}{TEXT}",
    "Return JSON that matches this schema: {s}\nText: {t}",
    "Use this JSON schema: {s}\nExtract from: {t}", "Read the text and fill this JSON schema.\n{s}\n{t}",
]  # fmt: skip
WITH_FIELDS = [
    f"[|Please |Can you |Could you |Now ][extract|get|take|give me|return|find|list|tell me|pull] [|the |the fields |the values of |only |just ]{{f}} {IN_JSON}[| from {THE_TEXT}| out of {THE_TEXT}][:|.] {{t}}",
    f"[|Please |Now ][return|make|write|build|give me|create|produce|output] [|a |one ]JSON [object |]with [|the fields |the keys |only |the properties |the attributes ]{{f}}[| from {THE_TEXT}| out of {THE_TEXT}| for {THE_TEXT}][:|.] {{t}}",
    "[Text: |Sentence: |Input: |]{t}\n[Give me|Extract|Return|I need|I want|Show me|Now give|Find] [|the |only ]{f} [as|in|as valid|as a] JSON[.|]", f"[From|Out of] {THE_TEXT} [take|get|extract|read|make JSON with|return] {{f}}[| {IN_JSON}][:|.] {{t}}[|\nJSON:|\nAnswer in JSON.]",
    "[JSON|Fields|Keys|JSON keys|Wanted|JSON with]: {f}[.|]\n[Text: |Sentence: |]{t}", f"[What are|What is|Which are] {{f}} [here|in {THE_TEXT}]? [Answer|Reply|Tell me] [in|with|as] JSON[:|.] {{t}}", f"[|Please ][read|look at|study|parse] {THE_TEXT} and [return|give|write] {{f}} {IN_JSON}[:|.] {{t}}",
    "{t}\n[What are|Which are] {f}? [JSON, please.|Answer in JSON.|As JSON.]", "[|Please |Now ][answer|reply|respond] [in|with|as] [|only ]JSON[:| with| for| holding| containing| that has] {f}[.|:|\n] {t}",
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
    source = draw.any(SOURCES) if draw.held or draw.chance(0.75) else about_anything
    text, facts = source(draw)
    kept = draw.rng.sample(facts, draw.integer(2, len(facts)))
    expected = {name: value for name, _, value in kept}
    if draw.chance(0.6):
        user = draw.wording(WITH_SCHEMA).format(s=schema(kept), t=text)
    else:
        names = [name for name, _, _ in kept]
        user = draw.wording(WITH_FIELDS).format(f=f"{', '.join(names[:-1])} and {names[-1]}", t=text)
    return [Turn(user, json.dumps(expected, ensure_ascii=False), json_is(expected))]
