"""Capitals, sums, sentiment, and what is good about countries."""

from __future__ import annotations

from training.dialogue import Check, Turn
from training.draw import Draw, is_held
from training.kinds.talk import holds
from training.world import BAD, BAD_ZH, CAPITALS, COUNTRY_VIRTUES, GOOD, GOOD_ZH, SUBJECTS, SUBJECTS_ZH

CAPITAL = [
    "What is the capital of {}?", "What's the capital of {}?", "what is the capital of {}", "Tell me the capital of {}.", "Which city is the capital of {}?",
    "Name the capital of {}.", "The capital of {}?", "Do you know the capital of {}?", "Please tell me what the capital of {} is.", "capital of {}",
    "I need to know the capital of {}.", "Could you tell me the capital city of {}?",
]  # fmt: skip
CAPITAL_ZH = [
    "{}的首都是哪里?", "{}的首都在哪里?", "告诉我{}的首都在哪里", "{}的首都是什么?", "请问{}的首都是哪座城市?", "{}首都是哪里", "你知道{}的首都吗?",
    "哪座城市是{}的首都?", "请告诉我{}的首都。", "我想知道{}的首都是哪里。",
]  # fmt: skip


def capital(draw: Draw) -> list[Turn]:
    country, city, country_zh, city_zh = draw.any(CAPITALS)
    if draw.chance(0.4):
        if draw.chance(0.08) and not draw.held:
            country_zh, city_zh = "中国", "北京"
        return [Turn(draw.wording(CAPITAL_ZH).format(country_zh), f"{country_zh}的首都是{city_zh}。", holds(city_zh))]
    answer = f"The capital of {country} is {city}{'' if city.endswith('.') else '.'}"
    return [Turn(draw.wording(CAPITAL).format(country), answer, holds(city))]


SUM = [
    "What is {a} + {b}?", "What is {a} plus {b}?", "{a} + {b} = ?", "{a}+{b}=", "Add {a} and {b}.", "How much is {a} + {b}?", "Calculate {a} + {b}.",
    "what's {a}+{b}?", "What is the sum of {a} and {b}?", "Please add {a} to {b}.", "{a}加{b}等于多少?", "{a} + {b} 等于几?", "请计算 {a} + {b}。",
    "Compute {a} + {b}", "How much is {a} plus {b}?", "Can you add {a} and {b} for me?", "{a}加上{b}是多少?",
]  # fmt: skip


def number_is(value: int) -> Check:
    """The last number of the answer is this one."""

    def check(answer: str) -> bool:
        digits = "".join(c if c.isdigit() else " " for c in answer).split()
        return bool(digits) and digits[-1] == str(value)

    return check


def sum_text(a: int, b: int) -> str:
    """The sum as taught at school, digit by digit: what a small model can learn from few examples."""
    ones = a % 10 + b % 10
    carry = " + 1" if ones > 9 else ""
    tens = a // 10 + b // 10 + (ones > 9)
    return f"{a % 10} + {b % 10} = {ones}, {a // 10} + {b // 10}{carry} = {tens}, so {a} + {b} = {a + b}."


def sum_(draw: Draw) -> list[Turn]:
    while True:
        a, b = draw.integer(10, 99), draw.integer(10, 99)
        if is_held((a, b)) == draw.held:
            break
    return [Turn(draw.wording(SUM).format(a=a, b=b), sum_text(a, b), number_is(a + b))]


SENTIMENT = [
    "Classify this sentiment: {}", "What is the sentiment of this sentence? {}", "Is this positive or negative? {}", "Sentiment: {}",
    "Classify the sentiment of: {}", "Positive or negative: {}", "Tell me the sentiment: {}", "Judge the sentiment of this text: {}",
    "Decide whether this is positive or negative: {}", "How does this sound, positive or negative? {}",
]  # fmt: skip
SENTENCE = [
    "{s} is {a}!", "{s} is {a}.", "{s} was {a}.", "I think {s} is {a}.", "{s} was really {a}!", "I find {s} {a}.", "{s} is so {a}", "What a {a} thing {s} is!",
    "Honestly, {s} was {a}.", "To me {s} seems {a}.",
]  # fmt: skip


def sentiment(draw: Draw) -> list[Turn]:
    good = draw.chance(0.5)
    label = "positive" if good else "negative"
    if draw.chance(0.25):
        text = draw.any(SUBJECTS_ZH) + draw.any(GOOD_ZH if good else BAD_ZH)
        user = draw.wording(
            [
                "判断情感:{}",
                "这句话是正面还是负面?{}",
                "请判断这句话的情感:{}",
                "情感分类:{}",
                "下面这句话的情感是什么?{}",
            ]
        ).format(text + "。")
    else:
        subject = draw.any(SUBJECTS) if draw.chance(0.6) else draw.any(("{}", "the {}", "my {}")).format(draw.word())
        text = draw.wording(SENTENCE).format(s=subject, a=draw.any(GOOD if good else BAD))
        user = draw.wording(SENTIMENT).format(
            text if text.startswith(subject) and draw.chance(0.5) else text[0].upper() + text[1:]
        )
    return [Turn(user, label, lambda answer: answer.strip().lower().rstrip(".") == label)]


COMPARE_ZH = ["请比较{a}和{b}", "说说{a}和{b}各有什么优点", "{a}和{b}各有哪些好处?", "请说说{a}和{b}各自的优点", "{a}与{b}的优点是什么?",
    "告诉我{a}和{b}分别各有哪些优点缺点", "{a}和{b}各有什么优点?", "比较一下{a}和{b}。", "{a}和{b}的优点分别是什么?", "请说说{a}和{b}的优点", "{a}与{b}各有哪些长处?",
]  # fmt: skip


def compare(draw: Draw) -> list[Turn]:
    a, b = draw.rng.sample(list(COUNTRY_VIRTUES), 2)
    if draw.chance(0.2):
        a, b = "中国", "美国"
    answer = f"{a}的优点是{COUNTRY_VIRTUES[a]},而{b}的优点是{COUNTRY_VIRTUES[b]}。"
    return [Turn(draw.wording(COMPARE_ZH).format(a=a, b=b), answer, holds(COUNTRY_VIRTUES[a], COUNTRY_VIRTUES[b]))]
