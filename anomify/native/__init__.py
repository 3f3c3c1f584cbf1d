"""The native door: one file per first word of a URL."""
