"""Starting the server by the path of Chinese-LLaMA-Alpaca-2's script, with its flags."""

import sys

from portico.cli.main import start

if __name__ == "__main__":
    sys.exit(start("openai_api_server_vllm.py", {"host": "localhost", "port": "8000"}))
