"""Routes under /org."""
