"""Promises that take minutes to measure: the server stays up, stays small, and does what it can when more comes."""
