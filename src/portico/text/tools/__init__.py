"""Tool calls: the text that models write them in, read piece by piece into names and arguments; one file a format."""
