"""Text to tokens and back: tokenizer, chat template, detokeniser, stop strings; no torch, no HTTP."""
