# make serve   install into .venv and serve the bundled model      make test    the whole test suite, linters, type checks
# make bench   speed, side by side with its physical limit         make help    the other targets
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
ARGS   ?=

.PHONY: help serve chat install test test-extras lint types unit fuzz bench bench-chat bench-hostile bench-kernels bench-linear bench-long bench-quality bench-peers bench-sessions bench-text bench-overload bench-prompts clients-test generated-clients-test web-test stress stress-kills soak lm-eval reference docs docs-serve eval-demo train-demo clean

help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

## serve        install what is missing and serve the bundled model; ARGS="--port 9000" is passed on
serve: install
	@$(BIN)/portico serve $(ARGS)

## chat         install what is missing and chat with the bundled model in the terminal; ARGS="--temperature 0"
chat: install
	@$(BIN)/portico chat $(ARGS)

## install      make .venv and install Portico into it
install: $(VENV)/.installed

NATIVE := CMakeLists.txt $(wildcard src/portico/kernels/cpp/*)

$(VENV)/.installed: pyproject.toml $(NATIVE)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Portico needs Python 3.11 or later; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12 serve")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing Portico into $(VENV) (the first time downloads PyTorch) ..."
	@$(BIN)/python -m pip install --quiet --editable .
	@touch $@

test-extras: $(VENV)/.test-extras

$(VENV)/.test-extras: pyproject.toml $(VENV)/.installed
	@echo "Installing the test extras into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --editable '.[test]'
	@touch $@

## test         everything that must hold: lint, types, unit
test: lint types unit

## lint         ruff, and the walls between the rooms (import-linter)
lint: test-extras
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

## types        mypy --strict
types: test-extras
	$(BIN)/mypy

## unit         pytest; ARGS="tests/engine -k preempt" narrows it
unit: test-extras
	$(BIN)/python -m pytest $(ARGS)

## bench        speed of the engine alone and through HTTP on a random checkpoint of Qwen3-0.6B's shape
bench: test-extras
	$(BIN)/python -m benchmarks.speed $(ARGS)

## bench-quality what weights of 8 and 4 bits do to the bundled model's predictions, beside llama.cpp's formats
bench-quality: test-extras
	$(BIN)/python -m benchmarks.quality

## bench-long   a token after 128 to 32768 others, keys and values in bfloat16 and int8; ARGS="--repeat 3"
bench-long: test-extras
	$(BIN)/python -m benchmarks.long_context $(ARGS)

## bench-kernels where the time of a step goes, kernel by kernel; ARGS="--quantization int8 --shapes 'decode ×32'"
bench-kernels: test-extras
	$(BIN)/python -m benchmarks.kernel_times $(ARGS)

## bench-linear products with packed weights beside torch's, for the shapes of Qwen3-0.6B; ARGS="--threads 2"
bench-linear: test-extras
	$(BIN)/python -m benchmarks.linear $(ARGS)

## bench-chat   milliseconds for chat template and tokenising of a conversation of 20 turns; ARGS="--model FOLDER"
bench-chat: install
	$(BIN)/python -m benchmarks.chat_cost $(ARGS)

## bench-sessions what the turns of a kept conversation compute, and their times to first token
bench-sessions: test-extras
	$(BIN)/python -m benchmarks.sessions $(ARGS)

## bench-text   what reading tool calls and thinking out of answers costs, in microseconds a token
bench-text: test-extras
	$(BIN)/python -m benchmarks.text

## bench-overload ten times the requests that can be served, for two minutes; ARGS="--seconds 30"
bench-overload: test-extras
	$(BIN)/python -m benchmarks.reliability.overload $(ARGS)

## bench-prompts  8 streams while a prompt of 4,096 tokens comes each second; ARGS="--seconds 20 --slowdown 0"
bench-prompts: test-extras
	$(BIN)/python -m benchmarks.reliability.prompts $(ARGS)

## clients-test openai 1, 2 and 3, openai-agents, langchain-openai, litellm and instructor against a server, in environments of their own
clients-test: $(VENV)/.test-extras .venv-clients/.installed .venv-openai/1 .venv-openai/2 .venv-openai/3
	PORTICO_PYTHON=$(abspath $(BIN)/python) .venv-clients/bin/python -m pytest tests/clients $(ARGS)

.venv-clients/.installed: tests/clients/requirements.txt
	@echo "Installing the frameworks into .venv-clients ..."
	@test -x .venv-clients/bin/python || $(PYTHON) -m venv .venv-clients
	@.venv-clients/bin/python -m pip install --quiet -r $<
	@touch $@

.venv-openai/%:
	@echo "Installing openai $*.x into $@ ..."
	@$(PYTHON) -m venv $@ && $@/bin/python -m pip install --quiet "openai>=$*,<$$(($* + 1))" || (rm -rf $@; false)

## generated-clients-test clients made from openapi.json, by openapi-python-client and openapi-typescript (needs Node)
generated-clients-test: $(VENV)/.test-extras .venv-generated/.installed
	PORTICO_PYTHON=$(abspath $(BIN)/python) .venv-generated/bin/python -m pytest tests/generated $(ARGS)

.venv-generated/.installed: tests/generated/requirements.txt tests/generated/package.json
	@echo "Installing what makes clients into .venv-generated ..."
	@test -x .venv-generated/bin/python || $(PYTHON) -m venv .venv-generated
	@.venv-generated/bin/python -m pip install --quiet -r tests/generated/requirements.txt
	@cp tests/generated/package.json .venv-generated && npm install --prefix .venv-generated --silent --no-audit --no-fund
	@touch $@

## web-test     the page of `portico web` in Chromium, which must be installed
web-test: $(VENV)/.web-test
	PORTICO_WEB_TEST=1 $(BIN)/python -m pytest tests/web $(ARGS)

$(VENV)/.web-test: pyproject.toml $(VENV)/.test-extras
	@echo "Installing Gradio and Playwright into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --editable '.[test,web-test]'
	@touch $@

## bench-peers  llama.cpp, OpenVINO, transformers and vLLM in the same shapes (docs/performance.md); ARGS="--out DIR --plot"
bench-peers: test-extras
	$(BIN)/python -m benchmarks.peers $(ARGS)

## bench-hostile the pace of 8 streams while hostile requests arrive, by their kind; ARGS="--only schema"
bench-hostile: test-extras
	$(BIN)/python -m benchmarks.reliability.hostile $(ARGS)

## fuzz         every parser, every route, thousands of inputs each (minutes); ARGS="-k template"
fuzz: test-extras
	PORTICO_FUZZ_EXAMPLES=$(or $(EXAMPLES),2000) $(BIN)/python -m pytest tests/fuzz $(ARGS)

## stress       2,000 mixed requests, a third of the clients hanging up at random
stress: test-extras
	$(BIN)/python -m benchmarks.stress $(ARGS)

## stress-kills kill -9 of the engine twenty times under 32 streams of every kind
stress-kills: test-extras
	PORTICO_KILLS=20 $(BIN)/python -m pytest tests/e2e/test_lost_engine.py -k lost $(ARGS)

## soak         half an hour of mixed traffic with clients that leave; memory and descriptors must stay; ARGS="--minutes 3"
soak: test-extras
	$(BIN)/python -m benchmarks.reliability.soak $(ARGS)

## lm-eval      lm-evaluation-harness through the server and through transformers: the same figures, and right ones
lm-eval: $(VENV)/.lm-eval
	$(BIN)/python -m benchmarks.evaluation

$(VENV)/.lm-eval: pyproject.toml $(VENV)/.installed
	@echo "Installing lm-evaluation-harness into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --editable '.[lm-eval]'
	@touch $@

## reference    write docs/parameters.md and docs/responses-parameters.md from the schemas and docs/flags.md from the options
reference: install
	$(BIN)/python -m portico.server.doors.openai.reference > docs/parameters.md
	$(BIN)/python -m portico.server.doors.responses.reference > docs/responses-parameters.md
	$(BIN)/python -m portico.cli.reference > docs/flags.md

## docs         the documentation as a site in build/site; fails for a page without a place in properdocs.yml and for broken links
docs: .venv-docs/.installed
	@.venv-docs/bin/properdocs build --strict --clean
	@! grep -rhoE '<(script|link|img|iframe)[^>]*"https?://[^"]+"' build/site --include='*.html' | grep -v 'rel="canonical"'
	@echo "build/site/index.html"

## docs-serve   the same at http://127.0.0.1:8001, built again at each change
docs-serve: .venv-docs/.installed
	.venv-docs/bin/properdocs serve --dev-addr 127.0.0.1:8001

.venv-docs/.installed: pyproject.toml
	@echo "Installing the site's builder into .venv-docs ..."
	@test -x .venv-docs/bin/python || $(PYTHON) -m venv .venv-docs
	@$(PYTHON) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["docs"], sep="\n")' \
		| .venv-docs/bin/python -m pip install --quiet -r /dev/stdin
	@touch $@

## eval-demo    ask the demo model held-out questions, by kind
eval-demo: test-extras
	$(BIN)/python -m training.evaluate $(ARGS)

## train-demo   train the demo model again (hours on a CPU; resumes where it was stopped)
train-demo: test-extras
	$(BIN)/python -m training.train $(ARGS)

## clean        remove what was built, not the environment
clean:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache benchmarks/out
