"""Contact points: the addresses that messages are sent to, each with its sealed settings."""
