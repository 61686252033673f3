"""Capitals, sums, sentiment, and what is good about countries."""

from __future__ import annotations

from training.dialogue import Check, Turn
from training.draw import Draw, is_held
from training.kinds.talk import holds
from training.world import BAD, BAD_ZH, CAPITALS, COUNTRY_VIRTUES, GOOD, GOOD_ZH, SUBJECTS, SUBJECTS_ZH

CAPITAL = [
    "[|Hello! |Hi, |Please tell me, |Tell me, |So, ][what is|what's|which is|do you know] the capital[| city] of {}[?|]", "[|Please |Can you |Could you |Would you |You should ][tell me|say|name|give me|find] the capital[| city] of {}[.|?|]",
    "[Which city|Which town|What city|What] is the capital[| city] of {}[?|]", "[|The ]capital [of|city of] {}[?|.|]", "[|Please ]tell me [what|which city] the capital of {} is[.|]", "{}['s capital|: what is its capital][?|.|]",
    "[|I know ]{} is a country[.|:] [What|Which city] is its capital?", "[I want to know|I am looking for|I forgot|I ask for] the capital[| city] of {}[.|]", "[Which|What] city [does|has] {} [have |]as its capital?", "[For|In] {}, what is the capital?",
    "I need to know the capital of {}.", "Could you tell me the capital city of {}?",
]  # fmt: skip
CAPITAL_ZH = [
    "[|请问|请问一下,|你知道|您知道|我想问,]{}的首都[是|在][哪里|哪|哪儿|什么地方|哪个城市|哪座城市|什么城市|什么][?|吗?|呢?|]", "[|请|请你|能不能|麻烦你|可以]告诉我{}的首都[|在哪里|是哪里|是什么|是哪座城市|叫什么][。|?|吗?|]", "{}[|这个国家]首都[是哪里|在哪里|是什么|叫什么|在哪]",
    "你知道{}的首都吗?", "[哪座城市|哪个城市|哪里|什么地方]是{}的首都?", "{}的首都[|?|。]", "[说出|说说|写出|请说出|请写出]{}的首都[|名字|的名字][。|]", "[我不知道|我忘了|我想了解]{}的首都[|是什么|在哪里]。", "告诉我{}的首都在哪里",
    "请告诉我{}的首都。", "我想知道{}的首都是哪里。",
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
    "[What is|What's|How much is|Calculate|Compute|Work out|Tell me|Give me|Find|Solve|Evaluate|Do you know|How many is|Count|Please do|Hello, what is|Now] {a}[+| + | plus | and | added to ]{b}[?|.|| =| = ?]", "{a}[+| + | plus | and ]{b}[?|=| =| = ?|= ?| is what?| is| equals| makes| gives]",
    "[|Please |Can you |Could you |Now |Would you |You should |I'd like you to |Help me ][add|sum|sum up|add up|add together|count] [|the numbers |the two numbers |these: ]{a} [and|to|plus|with] {b}[.|?|| please.| now.]", "[|What is |What's |Tell me |Give me |Find |Calculate |I need ]the [sum|total|result] of {a} [and|plus|+] {b}[?|.|]",
    "I have {a} [apples|dollars|books|coins] and [get|buy|find] {b} more. How many [do I have|are there]?", "[If you add|If I add|Adding] {a} [and|to] {b}, what [do you|do I|does one] get?", "[What do you get|What comes out] if you add {a} [and|to] {b}?", "[What number|How much] [is|do I get from] {a} [and|plus] {b} together?",
    "[|请问|请问一下,|你知道|告诉我|请告诉我|帮我算,|帮我看看][|:]{a}[加|加上|和|+| + |与][|上]{b}[等于|是|等于是|一共是|总共是|得|的和是|之和是|的结果是][多少|几|什么][?|呢?|]", "[|请|请你|帮我|请帮我|麻烦你|你能|能不能|可以][算|计算|算一下|计算一下|算算|求|做]{a}[加|加上|+| + |与][|上]{b}[|。|?|吗?|的和|等于多少]",
    "{a}[加|加上|+][|上]{b}[=|等于|?|=?|等于几|得几|一共多少]", "[|请]把{a}[和|与|跟]{b}[加起来|相加|加在一起|求和][。|]", "{a}[和|与|跟]{b}[的和|加起来|相加|加在一起|一共][是|等于|得][多少|几|什么][?|]", "{a}+{b}=", "What is {a} + {b}?", "{a} + {b} = ?", "请计算 {a} + {b}。",
    "Can you add {a} and {b} for me?", "{a}加上{b}是多少?",
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
    "[|Please |Can you |Now ][classify|judge|decide|tell me|label|rate] [this|the] sentiment[| for me][: |. ]{}", "What is the sentiment of [this|the] [sentence|text|review|comment|line][?|:] {}", "Is [this|the sentence|this text|this review] [positive or negative|good or bad]? {}", "Sentiment: {}", "Classify this sentiment: {}",
    "[|Please ][classify|judge|determine|find|tell me] the [sentiment|feeling|mood] of[|this|this sentence|this text]: {}", "[Positive or negative|Good or bad|Sentiment, please]: {}", "[Does|Would] this sound [good or bad|positive or negative]: {}", "Tell me the sentiment: {}", "{} [Is this|Is that] positive or negative?", "{} What is the sentiment?",
    "[Label|Mark|Sort] this [as|into] positive or negative: {}", "[Text|Review|Sentence]: {} Sentiment:",
    "Decide whether this is positive or negative: {}", "How does this sound, positive or negative? {}",
]  # fmt: skip
SENTIMENT_ZH = [
    "[|请|帮我|请你]判断[|一下][|这句话的|下面的|这段话的]情感:{}", "[这句话|下面这句话|这个评论|这段话]是[正面还是负面|好评还是差评|积极还是消极][的|]?{}", "[|请][判断|分析|说出|告诉我]这句话的[情感|感情|态度]:{}", "{}[这句话|这]是[正面|正面的]还是负面[|的]?",
    "情感分类:{}", "下面这句话的情感是什么?{}",
]  # fmt: skip
SENTENCE = [
    "{s} [is|was|seems|looks|feels|sounds|will be] [|so |very |really |quite |just |simply |truly ]{a}[!|.|]", "[I think|I find|In my opinion|They say|We all think|My friend says|Well,] {s} [is|was] [|really |very ]{a}[.|!]", "I find {s} {a}[.|!]", "What a {a} thing {s} is!", "[How|So] {a} {s} is!", "[We|I|They] [found|thought|called] {s} {a}.", "[Frankly|Truly|Really|Well|Clearly|Indeed|In truth|Today], {s} [was|is|seems] {a}[.|!]", "[It is|It was] {a}, {s}[.|!]",
    "Honestly, {s} was {a}.", "To me {s} seems {a}.",
]  # fmt: skip


def sentiment(draw: Draw) -> list[Turn]:
    good = draw.chance(0.5)
    label = "positive" if good else "negative"
    if draw.chance(0.25):
        text = draw.any(SUBJECTS_ZH) + draw.any(GOOD_ZH if good else BAD_ZH)
        user = draw.wording(SENTIMENT_ZH).format(text + "。")
    else:
        subject = draw.any(SUBJECTS) if draw.chance(0.6) else draw.any(("{}", "the {}", "my {}")).format(draw.word())
        text = draw.wording(SENTENCE).format(s=subject, a=draw.any(GOOD if good else BAD))
        user = draw.wording(SENTIMENT).format(
            text if text.startswith(subject) and draw.chance(0.5) else text[0].upper() + text[1:]
        )
    return [Turn(user, label, lambda answer: answer.strip().lower().rstrip(".") == label)]


COMPARE_ZH = [
    "[|请|请你|帮我|能不能|可以]比较[|一下]{a}[和|与|跟]{b}[|的优点|的优缺点|各自的优点|吧][。|?|]", "[|请|请你|你能|能不能|可以|给我][说说|谈谈|讲讲|讲一讲|介绍|说一说|列出|分析|告诉我|写写]{a}[和|与|跟|以及]{b}[的|各自的|分别的|两国的|各有的|各有什么|有什么|各有哪些|各自有什么][优点|好处|长处|优势|优缺点][吧|。|?|]",
    "{a}[和|与|跟|以及]{b}[各有|各自有|分别有|都有|各有各的|两国各有][哪些|什么|何种][优点|好处|优势|优缺点|长处和短处][?|呢?|]", "告诉我{a}和{b}分别各有哪些优点缺点", "比较一下{a}和{b}。", "{a}[和|与|跟|以及]{b}[的|各自的][优点|好处|长处|优势][|分别|各][是什么|是哪些|有哪些][?|呢?|]", "{a}和{b}[比|相比|有何不同|有什么不同|哪个好][?|]",
    "请说说{a}和{b}的优点", "{a}与{b}各有哪些长处?",
]  # fmt: skip


def compare(draw: Draw) -> list[Turn]:
    a, b = draw.rng.sample(list(COUNTRY_VIRTUES), 2)
    if draw.chance(0.2):
        a, b = "中国", "美国"
    answer = f"{a}的优点是{COUNTRY_VIRTUES[a]},而{b}的优点是{COUNTRY_VIRTUES[b]}。"
    return [Turn(draw.wording(COMPARE_ZH).format(a=a, b=b), answer, holds(COUNTRY_VIRTUES[a], COUNTRY_VIRTUES[b]))]
