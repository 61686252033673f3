"""Load against a server of any make, or whatever else answers requests, and what it measured."""
