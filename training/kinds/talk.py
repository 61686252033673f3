"""Greetings, who the model is, repeating, remembering, and saying what it does not know."""

from __future__ import annotations

from training.dialogue import Check, Turn
from training.draw import Draw
from training.world import ANIMALS, CITIES, COLOURS, COLOURS_ZH, NAMES, SURNAMES_ZH

HELLO = [
    "[Hello|Hi|Hey|Hey there|Hi there|Hello there|Good morning|Good evening|Good day|Greetings|Howdy|Yo|Hello again|Hello Portico|Hi friend][!|.||,]", "[|Hello! |Hi! |Hey, |hi, |Hello, |Good morning! ]how are you[| today| doing| doing today| now| feeling][?|]", "[|Hello, |Hi! ]how [do you do|is it going|are things][?|]",
    "Good afternoon!", "Hey, how are you?",
]  # fmt: skip
HELLO_ZH = ["你好", "你好!", "您好", "早上好", "嗨", "你好吗?", "你好,你好吗?", "晚上好", "您好,最近好吗?", "嗨,你好!"]
WHO = [
    "[|Hello, |Hi, |Hey, |Hello! |So, |Please tell me: |Good morning, ][who are you|what are you|what is your name|what's your name|which model are you|what should I call you|who am I talking to|what is this model called|who is this][?|]", "[|Please |Can you |Could you |Now ][tell me|say|write|give me] [who you are|your name|what you are|something about yourself|about yourself|which model you are][.|?|]",
    "[|Please |Can you |Could you ][introduce|describe|present] yourself[.|?|, please.|]", "Please say who you are.", "Give me an introduction of yourself.", "May I know your name?", "[Are you|Do you have] a [name|person|human|robot]?", "Who are you?", "What is your name?",
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
MAKER = [
    "[|Hello, |Hi, |So, |Tell me, |And |Please: ]who [made|built|created|developed|trained|programmed|coded|invented|designed|produced|wrote|taught] you[?|]", "[|So, |And ][who|which company|which people|what team|which team] [is|are|stands] [your maker|your developers|your creators|behind you|your authors|your developer|your creator][?|]",
    "[|Please |Can you ][name|tell me|say] [your makers|who made you|who built you|your developers|who developed you|who trained you|your creator][.|?|]", "[By whom|By which people] were you [made|built|trained|developed]?", "Who were you [made|built|trained|developed|written] by?", "Who developed you?", "[Which|What] [people|developers|company|persons] [made|created|built|trained] you?",
    "Who wrote you?", "Who are your makers?",
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
MORE = [
    "[|Please |Can you |Could you |Now |I want you to ][tell me|say|explain|let me know] [|some |a bit ]more about [your developers|your makers|the developers|the people who made you|those developers|your creators][.|?|]", "[|Please |Now ]tell me [all |something |]about [your developers|your makers|the people who made you|the people who built you][.|]",
    "What [do you know|can you say|can you tell me] about your [developers|makers|creators]?", "[I want|I'd like] to know more about your [makers|developers|creators].", "Who are your developers and what do they do?", "What do your [developers|makers] [do|work on|build|make]?", "[More|Details] about your developers[, please.|.|]", "Tell me more about your developers",
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
    if "how " in user.lower():
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


SUMMARISE = [
    "[|Please |Can you |Could you |Now |Ok, ][summarize|sum up|recap|repeat in short|give me a summary of|write a summary of] [our|this|the|the whole] [conversation|talk|chat|dialogue|discussion][| so far| until now][.|?|, please.|]", "[|Please |Can you |Could you |Now ][summarize|sum up|recap] [what we said|what we talked about|what we have said|what was said|all we discussed|the information so far][.|?|]", "What [have we|did we] [talked about|said|discussed|covered|talk about|say|discuss][| so far| until now]?",
    "Summarize the information we've talked so far", "[Summary|A summary|Recap][, please|][.|]", "Give me a summary of our talk.",
    "What have we talked about so far?", "Give me a summary of our conversation so far.",
]  # fmt: skip


def summary(draw: Draw) -> list[Turn]:
    """The conversation about itself, summed up."""
    asked = [
        (Turn(draw.spelt(draw.any(WHO[:-2])), I_AM, holds("Portico")), "I am Portico's demo model"),
        (Turn(draw.spelt(draw.any(MAKER[:-2])), MADE, holds("Portico")), "the Portico developers made me"),
        (
            Turn(draw.spelt(draw.any(MORE[:-2])), DEVELOPERS, holds("Portico")),
            "they build an inference engine for language models",
        ),
    ]
    kept = asked if draw.chance(0.5) else [turn for turn in asked if draw.chance(0.6)] or asked[:1]
    said = [part for _, part in kept]
    text = said[0] if len(said) == 1 else f"{', '.join(said[:-1])} and {said[-1]}"
    turns = [turn for turn, _ in kept]
    return [*turns, Turn(draw.wording(SUMMARISE), f"So far we have said that {text}.", holds("so far", said[0]))]


SAY = [
    "[|Please |Can you |Could you |Now |Just |Kindly |I want you to |You should |Would you ][say|repeat|write|print|echo|tell me|copy|type|output|speak|answer|reply|answer with|reply with|respond with] [|this|the following|these words|the words|the text|after me|back|this text|this line|only|exactly this|just this][: |:| - |:\n]{}",
    "[|Please |Can you |Could you |Now |Just |Kindly |You should ][say|repeat|write|print|echo|copy|type] {}[| please|]", "[|Please ]repeat after me: {}", "[Say|Repeat|Write|Echo] [the words|the text|this|the line|it back:|back:|again:|once:|word by word:|precisely:|literally:] {}", "Say {}", "[Say|Repeat|Write|Print|Echo|Type|Copy|Please say|Please write] [exactly|precisely|literally|only|simply|verbatim|word for word|slowly|loudly|clearly|now|again|once more|for me][:|, please:| this:| the words:] {}", "Repeat: {}", "[Word|Words|Text|Line]: {}\n[Repeat it.|Say it.|Write it again.|Now you.|Copy it.]", "{}\n[Repeat|Copy|Say] [this|that|the line above|it].",
    "Please repeat {}", "Say exactly: {}",
]  # fmt: skip
SAY_ZH = [
    "[|请|请你|麻烦|你能|能不能]跟[|着]我[说|念|读]:{}", "[|请|请你|麻烦你|帮我|现在][说|写|念|读|复述|重复|抄写|写下|说出|输出|打出|回复][|一下|一次|这句话|下面的话|这些字|以下内容|下面的文字][:|:\n]{}", "[|请]再[说|写]一遍:{}", "[|请]只[说|回答|回复]:{}", "{}\n请[重复|复述|抄写]上面的话。",
    "重复一遍:{}", "说:{}",
]  # fmt: skip


def _said(draw: Draw) -> str:
    if draw.chance(0.1):
        return str(draw.integer(0, 9999))
    return draw.word().capitalize() if draw.chance(0.15) else draw.word()


def repeat(draw: Draw) -> list[Turn]:
    """Copying, which names and tools live on."""
    if draw.chance(0.15):
        return [Turn("Say this is a test!", "This is a test!", holds("this is a test"))]
    if draw.chance(0.25):
        text = draw.hanzi(draw.integer(2, 8))
        user = draw.wording(SAY_ZH).format(text)
        return [Turn(user, text, lambda answer: answer.strip() == text)]
    words = " ".join(_said(draw) for _ in range(draw.integer(1, 6)))
    return [Turn(draw.wording(SAY).format(words), words, lambda answer: answer.strip() == words)]


def a_name(draw: Draw) -> str:
    return draw.item(NAMES) if draw.chance(0.3) else draw.word().capitalize()


TELL_NAME = [
    "[|Hi! |Hello! |Hey, |Hi, |Hello, |Good morning! |Well, |By the way, ][my name is|I am|I'm|call me|my friends call me|everybody calls me|you can call me|please call me|this is|my first name is] {}[.|!|]", "[|Hi, ]I [am named|go by|go by the name of|am] {}[.|]", "[|Hello, ]{} is my name[.|]", "[|My ]name: {}", "[Remember|Please remember|Note|Know|Keep in mind][|:| that] my name is {}[.|]",
    "My name is {}[, nice to meet you|, how are you|, and you][.|?]", "My name is {}.", "I am {}.", "I [think you should know that I am|was given the name] {}.", "People call me {}.", "Hi! I am called {}.",
]  # fmt: skip
ASK_NAME = [
    "[|So, |Now, |And |Hey, |Ok, |Well, ][what is|what's|what was] my name[?|]", "[|So, |Now, |And |Hey, ][do|did|can|could] you [remember|recall|repeat|say|tell me] my name[?|]", "[|Please |Now ][tell me|say|repeat|write|give me] my name[.|?|]", "[|So |And ]who am I[?|]", "What [did I say|did I tell you|have I told you] my name [is|was]?", "[How|What] [am I called|do people call me|do you call me][?|]", "[By what name|How] should you call me?", "[|Do you ]remember [who I am|how I am called|what I am called][?|]", "My name is[ what|...][?|]",
    "Can you tell me what my name is?", "Do you know my name?",
]  # fmt: skip
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
            "[|By the way, |Well, |Note that |Hi! ][my favorite color is|the color I love is|the color I prefer is|the best color for me is|my preferred color is] {}[.|!|]",
            "[I like|I love|I prefer|I choose] [|the color ]{} [best|most|best of all colors|more than any other color].",
            "My favorite color? It is {}.",
            "The color I like most is {}.",
        ],
        "city": [
            "[|By the way, |Well, |Note that |Hi! ][I live in|my city is|my home town is|my town is|I stay in|I moved to|we live in|I am at home in|my house is in|I write from] {}[.|!|]",
            "My home is in {}[.|]",
            "[|Hi! ]I [am|come] from {}[.|]",
            "I have lived in {} for years.",
        ],
        "pet": [
            "[|By the way, |Well, |Note that |Hi! ][I have|I own|I keep|we have|I got|I bought|I live with|at home I keep] a [|nice |small |little ]{}[.|!|]",
            "My pet is a {}[.|]",
            "At home I have a {}.",
            "There is a {} at my home, my pet.",
        ],
    }
    asks = {
        "favorite color": [
            "[|So, |Now, |And ][what is|what's|what was|tell me|do you know|name|say] my [favorite|preferred|best] color[?|.|]",
            "[Which|What] color do I [like|love|prefer|like best|like most]?",
            "Do you remember my favorite color?",
            "Which is my favorite color?",
        ],
        "city": [
            "[|So, |Now, |And ]where [do I live|am I from|is my home|do I come from|is my house][?|]",
            "[|So, |Now, |And ][what is|what's|tell me|name|which is] my [city|home town|town][?|.|]",
            "[What|Which] [town|place] [do I live in|am I from|is my home]?",
            "[In what|In which] [city|town|place] do I live?",
            "Which city do I live in?",
            "Do you remember where I live?",
        ],
        "pet": [
            "[|So, |Now, |And ][what|which] [animal|kind of pet|pet] [do I own|do I keep|have I got|is mine|lives with me][?|]",
            "[|So, |Now, |And ][what is|what's|tell me|name|which is|what was] my pet[?|.|]",
            "What pet do I have?",
            "What do I have at home?",
            "Do you remember my pet?",
            "Which pet do I have?",
        ],
    }
    answers = {"favorite color": "Your favorite color is {}.", "city": "You live in {}.", "pet": "Your pet is a {}."}
    tell = Turn(draw.wording(tells[kind]).format(value), f"I will remember that: {value}.", holds(value))
    return [tell, *fillers, Turn(draw.wording(asks[kind]), answers[kind].format(value), holds(value))]


TELL_COLOUR_ZH = [
    "[|你好,|对了,]我[最喜欢|喜欢|很喜欢|最爱|偏爱][|的颜色是]{}[。|]", "[|你好,|对了,]我[喜欢|最喜欢|最爱]的颜色[是|就是]{}。", "{}是我[最喜欢|最爱]的颜色。",
    "我最喜欢的颜色是{}。", "颜色里我最爱{}。",
]  # fmt: skip
ASK_COLOUR_ZH = [
    "[|请问|那么,]我[最喜欢|喜欢|最爱|爱]的[|是]什么颜色[?|呢?|]", "我[喜欢|最喜欢|爱]的颜色[是什么|是哪种|是哪个|叫什么]?", "[你|您][|还]记得我[最喜欢|最爱][什么颜色|的颜色]吗?", "[说出|告诉我|请说]我[喜欢|最喜欢]的颜色。", "我最喜欢什么颜色?",
    "你记得我喜欢的颜色吗?", "我最爱的颜色是哪个?",
]  # fmt: skip
TELL_NAME_ZH = [
    "[|你好,|您好,|嗨,|早上好,|对了,|请记住,|认识一下,][我叫|我的名字是|我是|我名叫|叫我|请叫我|你可以叫我|朋友们叫我|我的名字就是]{}[。|!|]", "我[姓名|的全名]是{}[。|]", "{}是我的名字。", "我叫{}[,你呢?|,很高兴认识你。|,请多关照。]", "我叫{}。",
    "大家叫我{}。", "您好,我的名字叫{}。",
]  # fmt: skip
ASK_NAME_ZH = [
    "[|请问|那么,|那|现在,]我[叫什么名字|叫什么|的名字是什么|叫啥|姓什么叫什么|是谁|的名字叫什么][?|呢?|]", "[你|您][|还|是否]记得我[的名字|叫什么|叫什么名字|是谁]吗?", "[|请|能|能不能|可以][说出|告诉我|说一下|说说|写出|重复]我的名字[。|吗?|]", "我[刚才|之前|前面][说|告诉你]我叫什么?", "你还记得我的名字吗?",
    "请说出我的名字。", "你知道我叫什么吗?",
]  # fmt: skip


def _memory_zh(draw: Draw, fillers: list[Turn]) -> list[Turn]:
    if draw.chance(0.25):
        value = draw.item(COLOURS_ZH)
        tell = Turn(
            draw.wording(TELL_COLOUR_ZH).format(value),
            f"好的,我记住了:{value}。",
            holds(value),
        )
        ask = draw.wording(ASK_COLOUR_ZH)
        return [tell, *fillers, Turn(ask, f"你最喜欢的颜色是{value}。", holds(value))]
    name = draw.any(SURNAMES_ZH) + draw.hanzi(draw.integer(1, 2)) if draw.chance(0.8) else a_name(draw)
    tell = Turn(
        draw.wording(TELL_NAME_ZH).format(name),
        f"很高兴认识你,{name}!",
        holds(name),
    )
    ask = draw.wording(ASK_NAME_ZH)
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
    "What is the speed of light?", "Write a program in Rust.", "What is the square root of 7?", "Who wrote Hamlet?", "Why is the sky blue?", "Which team is the best?",
    "What did I eat yesterday?", "How old is the universe?", "What time is it?", "What is the weather like?", "Tell me a joke.", "Who discovered America?", "What is love?",
]  # fmt: skip
ASK_UNKNOWN = [
    "[What|Who|Where|When] [is|was|are|were] [|the ]{}[?|]", "[|Please |Can you ][explain|describe|define|discuss|analyze|prove] {}[.|?|]", "[Why|How] [is|was|does] {} [important|famous|work|known|so big]?", "[What do you know|What can you say|What is written|Teach me] about {}[?|.]",
    "[Tell|Show|Teach|Give|Read] [me|us] [something|more|a bit|a lot|everything|a story|the truth|facts] about {}[.|, please.]", "[I want|I would like|We wish] to [know|hear|learn|read] [all|more|something|everything] about {}[.|]", "[Talk|Speak|Say something|Write] about {}[.|]",
    "Why is {} important?", "Tell me all about {}.",
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
        user = draw.wording(ASK_UNKNOWN).format(subject)
    else:
        user = draw.any(UNKNOWN)
    return [Turn(user, "I am only a small demo model, and I do not know that.", holds("do not know"))]
