"""The native API: the first word of a URL names its file or folder here."""
