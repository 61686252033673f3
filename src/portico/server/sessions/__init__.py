"""Conversations that the server keeps: what a session knows, where it is stored, and a turn of it."""
