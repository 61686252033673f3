"""Promises that take minutes to measure: what a server does when more comes than it can do."""
