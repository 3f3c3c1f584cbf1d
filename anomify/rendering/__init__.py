"""Draws charts, described as data, as PNG pictures."""
