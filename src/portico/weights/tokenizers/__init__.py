"""Tokenizers of model folders in whichever format they come, as objects of the tokenizers library; no torch."""
