"""Chat in a browser (the extra `web`)."""
