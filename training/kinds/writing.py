"""Haiku, suggestions, steps, and stories about Chinese cities."""

from __future__ import annotations

import re

from training.dialogue import Check, Turn
from training.draw import Draw
from training.kinds.talk import holds
from training.world import CHARACTER_ZH, TASKS, THINGS, TOPICS

HAIKU = [
    "[|Please |Can you |Could you |Would you |Now |I want you to |Kindly ][write|compose|make|create|give me|write me|sing|do|produce|tell me|think of|invent] [a|one|a short|a nice|a new|another] haiku [about|on|of|for|on the subject of|to|that is about|with] {}[.|?|]", "[|A |One |One more |Another ]haiku [about|on|for|:|of|to] {}[.|, please.|]", "[I would like|I'd like|I want|I need|Let me have|Let me hear] [a|one|your] haiku [about|on|of] {}[.|]",
    "Haiku[, subject| about|:| -] {}", "{}[: a haiku, please.|, as a haiku.|: haiku|. Make that a haiku.]",
    "Please write a short haiku about {}.", "I would like a haiku about {}.", "Make a haiku on the subject of {}.", "Write me a haiku about {}", "Write a haiku about {}.",
    "Compose a haiku about {}.", "Can you write a haiku about {}?",
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
    " provide three suggestions about {t}", "[|Please |Can you |Could you |Now |Would you |Kindly ][give me|provide|list|offer|make|write|share|name|tell me|show me|think of] {n} [|good |short |useful ]suggestions [about|on|for|regarding|concerning] {t}[.|?|]", "{n} [|good |short ]suggestions [about|on|for|regarding|:] {t}[.|, please|, please.|]", "[What are|Which are|Do you have|Have you got|I need|I want|I'd like|Let me have] {n} [|good |your ]suggestions [about|on|for|regarding] {t}[?|.|]",
    "[About|On|For] {t}[, give me|, I need|, what are|: ] {n} suggestions[.|?|]", "{t}: {n} suggestions[.|, please.|]", "Give me {n} suggestions about {t}.", "provide {n} suggestions about {t}", "[I need help|Help me|I want to do better] with {t}[. Give me|, with|; make] {n} suggestions.",
    "Offer me {n} suggestions about {t}.", "Can you share {n} suggestions about {t}?",
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
    "[|Please |Can you |Could you |Now |Would you |Kindly ][give me|list|name|tell me|write|provide|show me|write down|describe|make|say] [|the |just ]{n} [|simple |short |easy ]steps [to|for how to|on how to|that I need to|in order to] {t}[.|?|:|]", "{n} [|simple |short |easy ]steps to {t}[:|.|?|]", "[What are|Which are|I need|I want|Let me know|What would be] [|the |your ]{n} [|simple ]steps to {t}[?|.|]",
    "[Explain|Tell me|Show me|Describe|Write] in {n} steps how [to|I can|one can|you would|I should] {t}[.|]", "[How do I|How can I|How would you|How to] {t} in {n} [|simple ]steps[?|]", "[I want to|I have to|We need to|Help me] {t}[. Give me|. What are the|, in|. I need] {n} steps[.|]", "In {n} steps, [how do I|how can I|tell me how to] {t}[?|.|]", "Tell me {n} steps to {t}.", "Name {n} steps to {t}.",
    "Explain in {n} steps how to {t}.", "Can you list {n} steps to {t}?",
]  # fmt: skip
HOW = [
    "[|Hello, |Hi, |So, ][how do I|how can I|how do you|how could I|how should I|how would you|how to|how will I|how might we] {t}[?|]",
    "[|Please |Can you |Could you |Now ][tell me|show me|teach me|describe|say|help me to see|let me know] [how to|how I can|how you would|how people] {t}[.|?|]",
    "[What are|What would be|Which are|Give me|List] [the|your|some] steps [to|for someone to] {t}[?|.|]",
    "[What do I do|What must I do|What should I do|What is needed|What does it take] to {t}[?|]",
    "[I want to|I'd like to|I need to|I have to] {t}[. How?|. What do I do?|, how?|. Help me.|. What are the steps?]",
    "[What is the|Is there a|Give me a|I need a] [way|good way|plan] to {t}[?|.|]",
    "How [does|would|can|could] [a person|anybody|somebody|a beginner|everyone|my friend|a child] {t}[?|]",
    "[Please |]explain [to me |]the way to {t}[.|]",
    "How does one {t}?",
    "Please explain how to {t}.",
]  # fmt: skip
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
    "[|请|请你|能|能不能|可以|麻烦][给我|为我|跟我|][讲|讲讲|说|说说|讲一讲|介绍][一些|些|几个|][有关|关于|]{c}的[故事|传说|趣事][吧|。|吗?|?|]", "[|你好,]我[想听|想听听|想知道|喜欢听|要听][有关|关于|一些|]{c}的故事[。|]", "给我讲一些有关{c}的故事吧", "[有没有|你知道|你会讲]{c}的故事[吗|][?|]",
    "能给我讲一些{c}的故事吗?", "请讲一些关于{c}的故事",
]  # fmt: skip
SIGHT_ZH = [
    "{s}[怎么样|好玩吗|好看吗|有意思吗|如何|是什么样的][?|]", "[|请|那|就|那就|那么]讲[一讲|讲|一下|][|关于]{s}[吧|。|]", "[请|请你|可以|能不能|麻烦你|你能][介绍|介绍一下|说说|讲讲|讲一下|给我讲一下|谈谈]{s}[吧|吗?|。|]", "我[更喜欢|比较喜欢|最喜欢|喜欢|想听|想知道|想去|爱|对][|听|看]{s}[。|,讲讲吧|,请说说|,可以讲一下吗?|]", "我比较喜欢和{s},可以给我讲一下{s}吗", "我喜欢{s},请给我讲讲{s}。",
    "{s}[呢?|吧|。|?]", "我更喜欢{s}",
    "{s}怎么样?讲一讲吧", "我更喜欢{s},请介绍一下{s}。",
]  # fmt: skip
TALE_ZH = [
    "[|请|请你|能不能|可以|麻烦你][|给我|为我][讲|写|说|编][一个|个|一则|一篇][|关于|有关|发生在]{s}的[故事|小故事|童话|短篇故事][吧|。|吗?|]", "我[要听|想听|想看|想要]一个[|关于|有关]{s}的[故事|小故事][。|]", "[以|用]{s}为[题|背景|主题][写|讲|编]一个[故事|小故事][。|]", "讲一个关于{s}的故事",
    "说一个关于{s}的故事", "我要听一个{s}的故事",
]  # fmt: skip


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
