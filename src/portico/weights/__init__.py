"""Checkpoint files and where they come from: reads, checks, converts; never multiplies."""
