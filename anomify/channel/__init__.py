"""Ways out to people and their machines; one file per kind, each knowing nothing of our nouns."""
