"""HTTP: the application, its limits and errors, and the doors; nothing behind the text layer is known here."""
