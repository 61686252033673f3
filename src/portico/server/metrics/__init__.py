"""What a server counts and times: its requests, as they are seen between the text layer and the engine."""
