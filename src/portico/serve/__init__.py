"""Where `python -m` finds the server by MLC LLM's path."""
