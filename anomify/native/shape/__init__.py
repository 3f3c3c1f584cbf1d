"""Shapes of replies that several groups of routes have in common."""
