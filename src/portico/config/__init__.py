"""Every option, declared once: command line, environment, help and docs come from the same declaration."""
