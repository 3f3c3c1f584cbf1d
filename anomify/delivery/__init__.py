"""Deliveries: messages on their way out, each at least once."""
