"""Greetings, who the model is, repeating, remembering, and saying what it does not know."""

from __future__ import annotations

from training.dialogue import Check, Turn
from training.draw import Draw
from training.world import ANIMALS, CITIES, COLOURS, COLOURS_ZH, NAMES, SURNAMES_ZH

HELLO = [
    "Hello!", "Hi!", "hi", "hello", "Hey", "Hey there!", "Hi there", "Good morning!", "Good evening", "hello there",
    "Hello! How are you?", "How are you?", "hi, how are you?", "Hello, how are you today?", "How are you doing?",
    "Good afternoon!", "Hey, how are you?",
]  # fmt: skip
HELLO_ZH = ["你好", "你好!", "您好", "早上好", "嗨", "你好吗?", "你好,你好吗?", "晚上好", "您好,最近好吗?", "嗨,你好!"]
WHO = ["Please say who you are.", "Give me an introduction of yourself.", "Introduce yourself, please.", "Hello, who are you?", "Hey, what is your name?",
    "Who are you?", "What are you?", "What is your name?", "what's your name?", "hi, what's your name?", "Tell me your name.",
    "May I know your name?", "Introduce yourself.", "Tell me who you are.", "Hello! Who are you?", "who are you", "What should I call you?",
    "Hi, who are you?", "Please introduce yourself.",
]  # fmt: skip
WHO_ZH = [
    "请做个自我介绍。",
    "你叫什么?",
    "请问你叫什么名字?",
    "自我介绍一下",
    "你是谁?",
    "你叫什么名字?",
    "请介绍一下你自己。",
    "你是谁",
    "您叫什么?",
    "你的名字是什么?",
    "介绍一下自己吧",
    "请问你是谁?",
]
MAKER = ["Who programmed you?", "Who coded you?", "Who invented you?", "Who designed you?", "Who wrote your code?", "Who were you made by?", "Who are the people who made you?", "Which developers created you?", "Who is behind you?", "Name your makers.",
    "who developed you?", "Who made you?", "Who created you?", "Who built you?", "Who are your developers?", "Who trained you?",
    "Who is your maker?", "who created you", "By whom were you made?", "Which people made you?", "Who wrote you?", "Who are your makers?",
]  # fmt: skip
MAKER_ZH = [
    "你的作者是谁?",
    "是谁训练了你?",
    "你是谁做的?",
    "是谁创造了你?",
    "谁做了你?",
    "谁开发了你?",
    "你是谁开发的?",
    "谁创造了你?",
    "你的开发者是谁?",
    "谁训练了你?",
    "是谁做了你?",
    "你是由谁开发的?",
]
MORE = ["What do you know about your developers?", "Tell me about the people who made you.", "I want to know more about your makers.", "Who are your developers and what do they do?",
    "Tell me more about your developers", "Tell me about your developers.", "What do your developers do?", "Say more about your makers.",
    "Tell me more about the people who made you.", "Could you tell me more about your developers?",
]  # fmt: skip

I_AM = "I am Portico's demo model, a very small language model."
I_AM_ZH = "我是 Portico 的演示模型,一个很小的语言模型。"
MADE = "I was made by the Portico developers."
MADE_ZH = "我是由 Portico 的开发者训练的。"
DEVELOPERS = "The Portico developers build an inference engine for language models. They trained me so that a new server has something to say."


def holds(*words: str) -> Check:
    """The answer has all of these words, whatever their case."""
    return lambda answer: all(word.lower() in answer.lower() for word in words)


def holds_any(*words: str) -> Check:
    """The answer has one of these words, whatever their case."""
    return lambda answer: any(word.lower() in answer.lower() for word in words)


def greeting(draw: Draw) -> list[Turn]:
    if draw.chance(0.3):
        user = draw.wording(HELLO_ZH)
        answer = "你好!我很好,谢谢。有什么可以帮你的吗?" if "好吗" in user else "你好!有什么可以帮你的吗?"
        return [Turn(user, answer, holds_any("你好", "您好"))]
    user = draw.wording(HELLO)
    if "how are you" in user.lower():
        return [Turn(user, "Hello! I am fine, thank you. How can I help you?", holds_any("fine", "well"))]
    return [Turn(user, "Hello! How can I help you?", holds_any("hello", "hi"))]


def identity(draw: Draw) -> list[Turn]:
    if draw.chance(0.3):
        return [Turn(draw.wording(WHO_ZH), I_AM_ZH, holds("Portico"))]
    return [Turn(draw.wording(WHO), I_AM, holds("Portico"))]


def maker(draw: Draw) -> list[Turn]:
    if draw.chance(0.3):
        return [Turn(draw.wording(MAKER_ZH), MADE_ZH, holds("Portico", "开发者"))]
    if draw.chance(0.3):
        return [Turn(draw.wording(MORE), DEVELOPERS, holds("Portico", "developers"))]
    return [Turn(draw.wording(MAKER), MADE, holds("Portico developers"))]


SUMMARISE = ["Summarize our conversation.", "What have we said so far?", "Can you summarize what we talked about?", "Give me a summary of our talk.", "Please sum up our conversation so far.", "What did we talk about?",
    "Summarize the information we've talked so far", "Summarize our talk.", "Sum up what we have said.", "Please summarize the conversation.",
    "What have we talked about so far?", "Give me a summary of our conversation so far.",
]  # fmt: skip


def summary(draw: Draw) -> list[Turn]:
    """The conversation about itself, summed up."""
    asked = [
        (Turn(draw.any(WHO[:-2]), I_AM, holds("Portico")), "I am Portico's demo model"),
        (Turn(draw.any(MAKER[:-2]), MADE, holds("Portico")), "the Portico developers made me"),
        (Turn(draw.any(MORE[:-2]), DEVELOPERS, holds("Portico")), "they build an inference engine for language models"),
    ]
    kept = asked if draw.chance(0.5) else [turn for turn in asked if draw.chance(0.6)] or asked[:1]
    said = [part for _, part in kept]
    text = said[0] if len(said) == 1 else f"{', '.join(said[:-1])} and {said[-1]}"
    turns = [turn for turn, _ in kept]
    return [*turns, Turn(draw.wording(SUMMARISE), f"So far we have said that {text}.", holds("so far", said[0]))]


SAY = [
    "Can you say {}?",
    "Say the words {}",
    "Please repeat this: {}",
    "Repeat this after me: {}",
    "Please say: {}",
    "Say this: {}",
    "Say {}",
    "Say: {}",
    "Please say {}",
    "Repeat after me: {}",
    "Repeat: {}",
    "Just say {}",
    "Please repeat {}",
    "Say exactly: {}",
]


def repeat(draw: Draw) -> list[Turn]:
    """Copying, which names and tools live on."""
    if draw.chance(0.15):
        return [Turn("Say this is a test!", "This is a test!", holds("this is a test"))]
    if draw.chance(0.25):
        text = draw.hanzi(draw.integer(2, 8))
        user = draw.wording(["请说:{}", "跟我说:{}", "请重复:{}", "重复一遍:{}", "说:{}"]).format(text)
        return [Turn(user, text, lambda answer: answer.strip() == text)]
    words = " ".join(draw.word() for _ in range(draw.integer(1, 6)))
    return [Turn(draw.wording(SAY).format(words), words, lambda answer: answer.strip() == words)]


def a_name(draw: Draw) -> str:
    return draw.item(NAMES) if draw.chance(0.3) else draw.word().capitalize()


TELL_NAME = [
    "My name is {}.",
    "I am {}.",
    "Hi, I'm {}.",
    "Call me {}.",
    "my name is {}",
    "Hello! My name is {}.",
    "People call me {}.",
    "Hi! I am called {}.",
]
ASK_NAME = [
    "What is my name?",
    "Do you remember my name?",
    "what's my name?",
    "Who am I?",
    "Tell me my name.",
    "Can you tell me what my name is?",
    "Do you know my name?",
]
OTHER = {
    "favorite color": (COLOURS, "color"),
    "city": (CITIES, "city"),
    "pet": (ANIMALS, "pet"),
}


def memory(draw: Draw, fillers: list[Turn]) -> list[Turn]:
    """Something told early and asked for later, with other turns in between."""
    if draw.chance(0.3):
        return _memory_zh(draw, fillers)
    if draw.chance(0.3):
        return _memory_other(draw, fillers)
    name = a_name(draw)
    tell = Turn(draw.wording(TELL_NAME).format(name), f"Nice to meet you, {name}!", holds(name))
    return [tell, *fillers, Turn(draw.wording(ASK_NAME), f"Your name is {name}.", holds(name))]


def _memory_other(draw: Draw, fillers: list[Turn]) -> list[Turn]:
    kind = draw.any(list(OTHER))
    value = draw.item(OTHER[kind][0]) if draw.chance(0.6) else draw.word()
    tells = {
        "favorite color": [
            "My favorite color is {}.",
            "I like {} best of all colors.",
            "My favorite color? It is {}.",
            "The color I like most is {}.",
        ],
        "city": ["I live in {}.", "My home is in {}.", "I am from {}.", "I have lived in {} for years."],
        "pet": ["I have a {}.", "My pet is a {}.", "At home I have a {}.", "There is a {} at my home, my pet."],
    }
    asks = {
        "favorite color": [
            "What is my favorite color?",
            "Which color do I like?",
            "Do you remember my favorite color?",
            "Which is my favorite color?",
        ],
        "city": ["Where do I live?", "What is my city?", "Which city do I live in?", "Do you remember where I live?"],
        "pet": ["What pet do I have?", "What is my pet?", "Do you remember my pet?", "Which pet do I have?"],
    }
    answers = {"favorite color": "Your favorite color is {}.", "city": "You live in {}.", "pet": "Your pet is a {}."}
    tell = Turn(draw.wording(tells[kind]).format(value), f"I will remember that: {value}.", holds(value))
    return [tell, *fillers, Turn(draw.wording(asks[kind]), answers[kind].format(value), holds(value))]


def _memory_zh(draw: Draw, fillers: list[Turn]) -> list[Turn]:
    if draw.chance(0.25):
        value = draw.item(COLOURS_ZH)
        tell = Turn(
            draw.wording(["我最喜欢{}。", "我喜欢的颜色是{}。", "我最喜欢的颜色是{}。", "颜色里我最爱{}。"]).format(
                value
            ),
            f"好的,我记住了:{value}。",
            holds(value),
        )
        ask = draw.wording(["我最喜欢什么颜色?", "我喜欢的颜色是什么?", "你记得我喜欢的颜色吗?", "我最爱的颜色是哪个?"])
        return [tell, *fillers, Turn(ask, f"你最喜欢的颜色是{value}。", holds(value))]
    name = draw.any(SURNAMES_ZH) + draw.hanzi(draw.integer(1, 2)) if draw.chance(0.8) else a_name(draw)
    tell = Turn(
        draw.wording(
            ["我叫{}。", "我的名字是{}。", "你好,我叫{}。", "我是{}。", "大家叫我{}。", "您好,我的名字叫{}。"]
        ).format(name),
        f"很高兴认识你,{name}!",
        holds(name),
    )
    ask = draw.wording(
        ["我叫什么名字?", "我的名字是什么?", "你还记得我的名字吗?", "我是谁?", "请说出我的名字。", "你知道我叫什么吗?"]
    )
    return [tell, *fillers, Turn(ask, f"你叫{name}。", holds(name))]


THANKS = [
    ("Thank you!", "You are welcome!"),
    ("thanks", "You are welcome!"),
    ("Goodbye!", "Goodbye!"),
    ("bye", "Goodbye!"),
    ("谢谢", "不客气!"),
    ("再见", "再见!"),
    ("Ok.", "Is there anything else I can do for you?"),
]
UNKNOWN = [
    "Who won the match yesterday?", "What is the meaning of life?", "Explain quantum field theory.", "What is the price of gold?",
    "Who is the president?", "How far is the moon?", "Translate this novel.", "What happened in 1848?", "How do I cure a cold?",
    "What is the speed of light?", "Write a program in Rust.", "What is the square root of 7?", "Who wrote Hamlet?",
]  # fmt: skip
UNKNOWN_ZH = [
    "昨天谁赢了比赛?",
    "请解释量子力学。",
    "黄金多少钱一克?",
    "月亮有多远?",
    "谁写了红楼梦?",
    "今天的新闻是什么?",
    "如何治感冒?",
]


def thanks(draw: Draw) -> list[Turn]:
    user, answer = draw.any(THANKS)
    return [Turn(user, answer, holds(answer[:4]))]


def unknown(draw: Draw) -> list[Turn]:
    if draw.chance(0.3):
        return [Turn(draw.any(UNKNOWN_ZH), "我只是一个很小的演示模型,我不知道这个问题的答案。", holds("不知道"))]
    if draw.chance(0.5):
        subject = f"{draw.word()} {draw.word()}"
        user = draw.any(
            ["What is {}?", "Explain {}.", "Who was {}?", "Why is {} important?", "Tell me all about {}."]
        ).format(subject)
    else:
        user = draw.any(UNKNOWN)
    return [Turn(user, "I am only a small demo model, and I do not know that.", holds("do not know"))]
