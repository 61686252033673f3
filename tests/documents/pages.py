"""The five pages, block by block."""

from __future__ import annotations

from tests.documents.entries import Answer, Document, NotRun, Parameters, Repair, Run, Start

LINES = r"[^\n]+\n[^\n]+\n[^\n]+\n"
"""A haiku."""
WEATHER = r"'name': 'get_current_weather', 'arguments': {'location': 'Pittsburgh, PA', 'unit': 'fahrenheit'}"

FLATTENED = "the indentation was lost"
SYNOPSIS = "it is a synopsis: brackets mark what may be left out, capitals what the reader has to choose"
EVENTS = Repair(
    FLATTENED,
    depths={"for chunk in": 1, "chunk = ": 2, "break": 3, "response = ": 2, 'print("\\n")': 0},
)

MLC_LLM = Document(
    "mlc-llm",
    {"mlc_llm serve": "portico serve"},
    models=("dist/Llama-2-7b-chat-hf-q4f16_1-MLC",),
    entries=(
        Run(holds="mlc_llm serve --help", says=r"usage: portico serve .*--overrides"),
        Start(
            holds="MODEL [--model-lib PATH-TO-MODEL-LIB]",
            port=8000,
            repairs=(Repair(SYNOPSIS, {"MODEL [--model-lib PATH-TO-MODEL-LIB]": "Llama-2-7b-chat-hf-q4f16_1"}),),
        ),
        Run(
            holds="Write a haiku about apples.",
            says=LINES,
            repairs=(Repair(FLATTENED, depths={"print": 1}),),
        ),
        Run(
            holds='"tensor_parallel_shards=2"',
            status=2,
            says=r"--overrides tensor_parallel_shards is '2'",
        ),
        Start(
            holds="[--device DEVICE] [--mode MODE]",
            port=8080,
            repairs=(
                Repair(
                    SYNOPSIS,
                    {
                        "MODEL [--model-lib PATH-TO-MODEL-LIB]": "./dist/Llama-2-7b-chat-hf-q4f16_1-MLC/ "
                        "--model-lib PATH-TO-MODEL-LIB",
                        "[--device DEVICE]": "--device cpu:0",
                        "[--mode MODE]": "--mode local",
                        "[--speculative-mode SPECULATIVE-MODE]": "--speculative-mode disable",
                        "[--overrides OVERRIDES]": '--overrides "max_num_sequence=32;max_total_seq_length=4096"',
                        "[--enable-tracing]": "--enable-tracing",
                        "[--host HOST]": "--host 127.0.0.1",
                        "[--port PORT]": "--port 8080",
                        "[--allow-credentials]": "--allow-credentials",
                        "[--allowed-origins ALLOWED_ORIGINS]": "--allowed-origins '[\"*\"]'",
                        "[--allowed-methods ALLOWED_METHODS]": "--allowed-methods '[\"*\"]'",
                        "[--allowed-headers ALLOWED_HEADERS]": "--allowed-headers '[\"*\"]'",
                    },
                ),
                Repair("there are no drafts yet", {"[--additional-models ADDITIONAL-MODELS]": ""}),
                Repair(
                    "its examples name another model, and show calls that are not OpenAI's",
                    {"serve": "serve --compat mlc"},
                ),
            ),
        ),
        Run(
            holds="/v1/models",
            says=r"Response:\n\{.*'id': 'Llama-2-7b-chat-hf-q4f16_1'",
            repairs=(Repair(FLATTENED, depths={"print": 1, "else": 0, 'print("Error': 1}),),
        ),
        Run(holds='"content": "Write a haiku"}', says=LINES, repairs=(EVENTS,)),
        Run(holds="Pittsburgh, PA in fahrenheit?", says=WEATHER),
        Run(holds="Pittsburgh, PA and Tokyo, JP", says=r"Pittsburgh.*fahrenheit.*Tokyo.*fahrenheit", repairs=(EVENTS,)),
    ),
)

MLC_CHAT = Document(
    "mlc-chat",
    {"mlc_chat.rest": "portico.rest"},
    models=("dist/prebuilt/vicuna-v1-7b",),
    entries=(
        Run(holds="python -m mlc_chat.rest --help", says=r"usage: portico\.rest .*--lib-path"),
        Run(holds="PYTHONPATH=python python -m mlc_chat.rest --help", says=r"usage: portico\.rest .*--lib-path"),
        Start(
            holds="--model MODEL [--lib-path LIB_PATH]",
            port=8000,
            repairs=(
                Repair(
                    SYNOPSIS,
                    {
                        "--model MODEL": "--model vicuna-v1-7b",
                        "[--lib-path LIB_PATH]": "--lib-path LIB_PATH",
                        "[--device DEVICE]": "--device auto:0",
                        "[--host HOST]": "--host 127.0.0.1",
                        "[--port PORT]": "--port 8000",
                    },
                ),
            ),
        ),
        Run(
            holds="# Get the latest runtime stats",
            says=rf"Without streaming:\n{LINES}\nReset chat: <Response \[200\]>\n\nWith streaming:\n{LINES}\n+"
            r"Runtime stats: prefill: [\d.]+ tok/s, decode: [\d.]+ tok/s",
        ),
    ),
)

ALPACA = Document(
    "alpaca",
    {"scripts/openai_server_demo/": "{root}/scripts/openai_server_demo/"},
    models=("path/to/base_model",),
    entries=(
        NotRun(holds="pip install", reason="it installs the packages of that server"),
        Start(
            holds="--tokenizer-mode slow",
            port=8000,
            repairs=(Repair("the reader's own model", {"/path/to/base_model": "path/to/base_model"}),),
        ),
        Run(holds='"prompt": "告诉我中国的首都在哪里"', says=r"中国的首都是北京"),
        Answer(holds="中国的首都是北京。"),
        Run(holds='"num_beams": 4', says=r"中国的优点.*美国的优点"),
        Answer(holds="中国的优点是拥有丰富的文化和历史"),
        Run(holds="给我讲一些有关杭州的故事吧", says=r"杭州"),
        Answer(holds="好的,请问您对杭州有什么特别的偏好吗?"),
        Run(holds='"repetition_penalty": 1.0', says=r"西湖"),
        Answer(holds="是的,西湖是杭州最著名的景点之一"),
    ),
)

AT_HOME = Repair(
    "the reader's own server",
    {"{server_ip}": "localhost", "{server_port}": "23333"},
)
OWN_CLIENT = Repair("that client's place in Portico", {"lmdeploy.serve.openai.api_client": "portico.client"})

LMDEPLOY = Document(
    "lmdeploy",
    {"lmdeploy serve": "portico serve"},
    models=("models/internlm/internlm2_5-7b-chat",),
    aliases=("internlm/internlm2_5-7b-chat", "internlm-chat-7b", "llama"),
    entries=(
        Start(holds="--server-port 23333", port=23333),
        NotRun(holds="docker run --runtime nvidia", reason="it runs an image with that server, on an NVIDIA GPU"),
        NotRun(holds="kubectl create", reason="it asks for a Kubernetes cluster"),
        Run(
            holds="lmdeploy serve api_client",
            typed="Hello! How are you?\n\nexit\n\n",
            says=r"I am fine",
            repairs=(Repair("the reader's own server", {"${api_server_url}": "http://localhost:23333"}),),
        ),
        Run(holds="from openai import OpenAI", says=r"1\. .*2\. .*3\. "),
        Run(holds="from openai import AsyncOpenAI", says=r"1\. .*2\. .*3\. "),
        Run(holds="Say this is a test!", says=r"'content': '[^']*This is a test", repairs=(AT_HOME, OWN_CLIENT)),
        Run(
            holds="prompt='hi'",
            says=r"'text': ['\"].*\w.*'finish_reason': '(stop|length)'",
            repairs=(AT_HOME, OWN_CLIENT),
        ),
        Run(
            holds="Tell me more about your developers",
            says=r"(\{[^\n]*'text': [^\n]*Portico[^\n]*\n){4}",
            repairs=(AT_HOME, OWN_CLIENT),
        ),
        NotRun(holds="openapi-generator-cli generate", reason="it runs an image that writes clients"),
        NotRun(holds="ls rust/*", reason="it lists what the command before wrote"),
        Run(holds="/v1/models", says=r'"id":\s*"internlm/internlm2_5-7b-chat"', repairs=(AT_HOME,)),
        Run(holds='"model": "internlm-chat-7b"', says=r"I am fine", repairs=(AT_HOME,)),
        Run(holds='"prompt": "two steps to build a house:"', says=r"build a house", repairs=(AT_HOME,)),
        Run(holds="/v1/chat/interactive", says=r'"text":\s*"[^"]*I am fine', repairs=(AT_HOME,)),
        NotRun(holds="lmdeploy serve gradio", reason="an extra, Gradio; tests/web has it"),
    ),
)

VLLM = Document(
    "vllm",
    {"vllm serve": "portico serve"},
    models=("NousResearch/Meta-Llama-3-8B-Instruct",),
    entries=(
        Start(holds="--api-key token-abc123", port=8000),
        Run(holds='"content": "Hello!"', says=r"ChatCompletionMessage\(content='Hello! How can I help you\?'"),
        Run(
            holds="guided_choice",
            follows=True,
            shown="print(completion.choices[0].message.content)",
            says=r"\npositive\n",
        ),
        Parameters(holds="best_of: Optional[int] = None", path="/v1/chat/completions"),
        Parameters(holds="add_generation_prompt: bool = Field(", path="/v1/chat/completions"),
        Parameters(holds="allowed_token_ids: Optional[List[int]] = None", path="/v1/completions"),
        Parameters(holds="response_format: Optional[ResponseFormat] = Field(", path="/v1/completions"),
        Start(
            holds="--chat-template ./path-to-chat-template.jinja",
            port=8000,
            repairs=(Repair("the reader's own model", {"<model>": "NousResearch/Meta-Llama-3-8B-Instruct"}),),
        ),
    ),
)

DOCUMENTS = (MLC_LLM, MLC_CHAT, ALPACA, LMDEPLOY, VLLM)
