"""Where `python -m` finds the server by vLLM's path."""
