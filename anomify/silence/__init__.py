"""Silences: what is found then is recorded and drawn, and not told."""
