"""The mind: decides what each step computes. Holds integers only; imports no torch."""
