"""Routes under /signup."""
