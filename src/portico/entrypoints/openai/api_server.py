"""`python -m portico.entrypoints.openai.api_server --model MODEL`: starting the server by vLLM's module path."""

import sys

from portico.cli.main import start

if __name__ == "__main__":
    sys.exit(start("portico.entrypoints.openai.api_server", {"host": "0.0.0.0", "port": "8000", "compat": "vllm"}))
