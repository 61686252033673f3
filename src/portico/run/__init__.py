"""The hands: turns the engine's plans into tensors, runs the model, draws tokens."""
