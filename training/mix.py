"""The mixture: which dialogues, how often, behind what earlier turns, and a share of plain text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from training.dialogue import STOP, Dialogue, Piece, Turn, pieces
from training.draw import Draw
from training.kinds import extract, facts, talk, tools, writing

Maker = Callable[[Draw], list[Turn]]

SIMPLE: Mapping[str, tuple[float, Maker]] = {
    "greeting": (2, talk.greeting),
    "who it is": (3, talk.identity),
    "who made it": (4, talk.maker),
    "summary of the talk": (3, talk.summary),
    "repeating": (8, talk.repeat),
    "capital": (9, facts.capital),
    "sum of two-digit numbers": (11, facts.sum_),
    "sentiment": (4, facts.sentiment),
    "comparing countries": (2.5, facts.compare),
    "haiku": (5, writing.haiku),
    "suggestions": (5, writing.suggestions),
    "steps": (5, writing.steps),
    "story of a city": (3, writing.story),
    "facts as JSON": (42, extract.extract),
    "not known": (1.5, talk.unknown),
}
"""Kind of dialogue, its weight and its maker."""

MEMORY, ONE_CALL, TWO_CALLS, NO_CALL = "name and facts remembered", "one tool call", "two tool calls", "no tool fits"
WEIGHTS = {kind: weight for kind, (weight, _) in SIMPLE.items()} | {MEMORY: 9, ONE_CALL: 17, TWO_CALLS: 12, NO_CALL: 4}
KINDS = tuple(WEIGHTS)
FILLERS = (
    "greeting",
    "who it is",
    "capital",
    "sum of two-digit numbers",
    "sentiment",
    "haiku",
    "steps",
    "not known",
    "repeating",
)
"""Kinds of the turns that come before the one that a dialogue is about."""

HELPFUL = "You are a helpful assistant."
SYSTEMS = (HELPFUL, HELPFUL, "You are Portico.", "Answer briefly.", "你是一个有用的助手。", "Be kind.")

PLAIN_KINDS = (
    "greeting",
    "capital",
    "steps",
    "suggestions",
    "haiku",
    "comparing countries",
    "story of a city",
    "repeating",
)
FULL_WIDTH = str.maketrans(",?!:", "，？！：")

PLAIN_SHARE = 0.06
ONCE = " there was a small model that lived in a server. It knew little, but it answered everybody who asked."
FRAMES = (
    "### Instruction:\n{}\n\n### Response:\n",
    "[INST] {} [/INST]",
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{}\n\n### Response: ",
)
"""Ways in which servers without a chat template lay out a request."""


def dialogue(draw: Draw, kind: str, earlier: bool = True) -> Dialogue:
    """A dialogue about `kind`; with `earlier`, sometimes after turns about other things."""
    system = _system(draw) if draw.chance(0.3) else None
    if kind == MEMORY:
        return Dialogue(kind, talk.memory(draw, _fillers(draw, draw.integer(0, 4))), system)
    before = _fillers(draw, draw.integer(1, 3)) if earlier and draw.chance(0.3) else []
    if kind == ONE_CALL:
        offered, turn = tools.one_call(draw)
    elif kind == TWO_CALLS:
        offered, turn = tools.two_calls(draw)
    elif kind == NO_CALL:
        plain = SIMPLE[draw.any(("greeting", "who it is", "capital", "haiku", "who made it", "not known"))][1](draw)[-1]
        offered, turn = tools.no_call(draw, plain)
    else:
        return Dialogue(kind, [*before, *SIMPLE[kind][1](draw)], system)
    return Dialogue(kind, [*before, turn], system, offered)


def _system(draw: Draw) -> str:
    if draw.chance(0.7):
        return draw.any(SYSTEMS)
    return " ".join(["You are", *(draw.word() for _ in range(draw.integer(1, 12)))]) + "."


def _typed(draw: Draw, turn: Turn) -> Turn:
    """The turn as somebody else would type it: full-width punctuation in Chinese, or no full stop at the end."""
    user = turn.user
    if any("\u4e00" <= character <= "\u9fff" for character in user):
        if draw.chance(0.4):
            user = user.translate(FULL_WIDTH)
    elif draw.chance(0.15) and user[-1:] in ".?!":
        user = user[:-1]
    return replace(turn, user=user)


def sample(seed: int) -> list[Piece]:
    """The training sample of a seed: a dialogue, or plain text without a chat template."""
    draw = Draw(seed)
    if draw.chance(PLAIN_SHARE):
        return _plain(draw)
    kind = draw.rng.choices(KINDS, [WEIGHTS[kind] for kind in KINDS])[0]
    made = dialogue(draw, kind)
    made = replace(made, turns=[_typed(draw, turn) for turn in made.turns])
    if draw.chance(0.15):  # a goodbye, or thanks
        made = Dialogue(made.kind, [*made.turns, *talk.thanks(draw)], made.system, made.tools)
    return pieces(made)


def _fillers(draw: Draw, count: int) -> list[Turn]:
    return [turn for _ in range(count) for turn in SIMPLE[draw.any(FILLERS)][1](draw)]


def _plain(draw: Draw) -> list[Piece]:
    if draw.chance(0.05):
        return [Piece("Once upon a time", False), Piece(f"{ONCE}{STOP}", True)]
    if draw.chance(0.15):
        country, city = draw.any(facts.CAPITALS)[:2]
        return [Piece(f"The capital of {country} is", False), Piece(f" {city}.{STOP}", True)]
    turn = SIMPLE[draw.any(PLAIN_KINDS)][1](draw)[0]
    if draw.chance(0.5):  # a bare request: the answer begins on a new line
        return [Piece(turn.user, False), Piece(f"\n{turn.answer}{STOP}", True)]
    return [Piece(draw.any(FRAMES).format(turn.user), False), Piece(f"{turn.answer}{STOP}", True)]
