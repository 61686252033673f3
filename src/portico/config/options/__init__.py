"""The options of `portico serve`, a file for each side of it."""
