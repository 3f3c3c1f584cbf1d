"""Routes under /user."""
