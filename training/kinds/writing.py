"""Haiku, suggestions, steps, and stories about Chinese cities."""

from __future__ import annotations

import re

from training.dialogue import Check, Turn
from training.draw import Draw
from training.kinds.talk import holds
from training.world import CHARACTER_ZH, TASKS, THINGS, TOPICS

HAIKU = ["Make a haiku about {}.", "A haiku on {}, please.", "Write a haiku on the subject of {}.", "I'd like a haiku on {}.", "Please compose a haiku about {}.", "Give me a haiku about {}.",
    "Write a haiku about {}.", "Write me a haiku about {}", "A haiku about {}, please.", "write a haiku about {}", "Compose a haiku about {}.", "Can you write a haiku about {}?",
    "Haiku about {}", "Please write a short haiku about {}.", "I would like a haiku about {}.", "Make a haiku on the subject of {}.",
]  # fmt: skip
FIRST = [
    "Softly comes the day,",
    "In the morning light,",
    "Quiet as a dream,",
    "Under the pale sky,",
    "A breath of cool air,",
    "Here the world is still,",
]
SECOND = [
    "I sit and think of {},",
    "the old road leads to {},",
    "my heart is full of {},",
    "the wind has heard of {},",
    "a small song about {},",
    "all at once there is {},",
]
THIRD = [
    "and time passes by.",
    "one leaf falls away.",
    "then silence again.",
    "evening comes slowly.",
    "I smile and walk on.",
    "the night asks nothing.",
]
COUNTS = {"two": 2, "three": 3, "four": 4, "five": 5}


def is_haiku(thing: str) -> Check:
    return lambda answer: len(answer.strip().splitlines()) == 3 and thing.lower() in answer.lower()


def haiku_text(draw: Draw, thing: str) -> str:
    return "\n".join((draw.any(FIRST), draw.any(SECOND).format(thing), draw.any(THIRD)))


def haiku(draw: Draw) -> list[Turn]:
    if draw.chance(0.12) and not draw.held:
        user = draw.any(["Write a haiku", "Write a haiku.", "write me a haiku", "A haiku, please."])
        return [Turn(user, haiku_text(draw, draw.any(THINGS)), is_haiku(""))]
    thing = draw.item(THINGS) if draw.chance(0.6) else draw.word()
    return [Turn(draw.wording(HAIKU).format(thing), haiku_text(draw, thing), is_haiku(thing))]


def listed(count: int, words: str) -> Check:
    """A list numbered from 1 to `count` in an answer that has these words."""

    def check(answer: str) -> bool:
        numbers = [int(n) for n in re.findall(r"(?m)^(\d+)\. ", answer)]
        return numbers == list(range(1, count + 1)) and words.lower() in answer.lower()

    return check


def numbered(head: str, lines: list[str]) -> str:
    return "\n".join([head, *(f"{i}. {line}" for i, line in enumerate(lines, 1))])


SUGGEST = [
    " provide three suggestions about {t}", "Give me {n} suggestions about {t}.", "provide {n} suggestions about {t}", "{n} suggestions about {t}, please", "Please provide {n} suggestions about {t}.",
    "What are {n} suggestions about {t}?", "I need {n} suggestions about {t}.", "Could you give me {n} suggestions about {t}?", "Offer me {n} suggestions about {t}.", "Can you share {n} suggestions about {t}?",
]  # fmt: skip
ADVICE = [
    "Start with a small goal.", "Set aside some time every day.", "Write down what you learn.", "Ask a friend who knows it well.", "Keep it simple.", "Take a short break when you are tired.",
    "Make a list and follow it.", "Look back at your progress each week.", "Do the most important thing first.", "Be patient with yourself.",
]  # fmt: skip


def suggestions(draw: Draw) -> list[Turn]:
    topic = draw.item(TOPICS) if draw.chance(0.75) else f"{draw.word()} {draw.word()}"
    wording = draw.wording(SUGGEST)
    word = "three" if "{n}" not in wording or draw.chance(0.5) else draw.any(list(COUNTS))
    count = COUNTS[word]
    lines = draw.rng.sample(ADVICE, count)
    answer = numbered(f"Here are {word} suggestions about {topic}:", lines)
    return [Turn(wording.format(n=word, t=topic), answer, listed(count, topic))]


STEPS = [
    "{n} steps to {t}:", "Give me {n} steps to {t}.", "What are {n} steps to {t}?", "List {n} steps to {t}.", "{n} steps to {t}", "Tell me {n} steps to {t}.", "Name {n} steps to {t}.",
    "Explain in {n} steps how to {t}.", "Can you list {n} steps to {t}?",
]  # fmt: skip
HOW = [
    "How do I {t}?",
    "How can I {t}?",
    "Tell me how to {t}.",
    "What are the steps to {t}?",
    "How does one {t}?",
    "Please explain how to {t}.",
]
STEP = [
    "Decide what you want.",
    "Get the things you need.",
    "Prepare the place.",
    "Begin with the easy part.",
    "Work carefully, one part at a time.",
    "Check the result.",
    "Clean up.",
]


def steps(draw: Draw) -> list[Turn]:
    task = draw.item(TASKS) if draw.chance(0.75) else f"{draw.word()} a {draw.word()}"
    if draw.chance(0.3):
        user, word = draw.wording(HOW).format(t=task), "three"
    else:
        word = draw.any(list(COUNTS))
        user = draw.wording(STEPS).format(n=word, t=task)
    count = COUNTS[word]
    chosen = sorted(draw.rng.sample(range(len(STEP)), count))
    answer = numbered(f"Here are {word} steps to {task}:", [STEP[i] for i in chosen])
    return [Turn(user, answer, listed(count, task))]


STORIES_ZH = [
    "给我讲一些有关{c}的故事吧",
    "给我讲讲{c}的故事",
    "我想听有关{c}的故事",
    "讲一些{c}的故事吧",
    "能给我讲一些{c}的故事吗?",
    "请讲一些关于{c}的故事",
]
SIGHT_ZH = [
    "{s}怎么样?",
    "讲一讲{s}吧",
    "请介绍一下{s}",
    "我更喜欢{s}",
    "我比较喜欢和{s},可以给我讲一下{s}吗",
    "我喜欢{s},请给我讲讲{s}。",
    "可以给我讲一下{s}吗?",
    "我想听{s}。",
    "{s}怎么样?讲一讲吧",
    "我更喜欢{s},请介绍一下{s}。",
]
TALE_ZH = [
    "讲一个关于{s}的故事",
    "请讲一个{s}的故事。",
    "给我讲个{s}的故事吧",
    "写一个关于{s}的小故事",
    "说一个关于{s}的故事",
    "我要听一个{s}的故事",
]


def sight_text(city: str) -> str:
    sight, seen = CHARACTER_ZH[city]
    title = "人间天堂" if city == "杭州" else "不能错过的地方"
    return f"是的,{sight}是{city}最著名的景点之一,它被誉为“{title}”。在那里可以看到{seen}。"


def story(draw: Draw) -> list[Turn]:
    city = "杭州" if draw.chance(0.5) else draw.any(list(CHARACTER_ZH))
    sight, seen = CHARACTER_ZH[city]
    if draw.chance(0.35):
        place = draw.any((city, sight))
        text = (
            f"从前,{city}有一位老人,每天清晨都去看{sight}。有一天,他遇见一个迷路的孩子,就带着孩子去看{seen}。"
            f"孩子笑了,不再害怕。后来孩子长大了,也常常回到{sight},想起那位老人。"
        )
        return [Turn(draw.wording(TALE_ZH).format(s=place), text, holds(city, sight))]
    first = Turn(
        draw.wording(STORIES_ZH).format(c=city), f"好的,请问您对{city}有什么特别的偏好吗?", holds(city, "偏好")
    )
    if draw.chance(0.3):
        return [first]
    return [first, Turn(draw.wording(SIGHT_ZH).format(s=sight), sight_text(city), holds(sight, city))]
