"""`python -m portico.rest --model MODEL`: starting the server as `python -m mlc_chat.rest` was."""

import sys

from portico.cli.main import start

if __name__ == "__main__":
    sys.exit(start("portico.rest", {"host": "127.0.0.1", "port": "8000", "compat": "mlc-chat"}))
