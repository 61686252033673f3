"""`python -m portico.serve.server --model MODEL`: starting the server as `python -m mlc_llm.serve.server` was."""

import sys

from portico.cli.main import start

if __name__ == "__main__":
    sys.exit(start("portico.serve.server", {"host": "127.0.0.1", "port": "8000", "compat": "mlc"}))
