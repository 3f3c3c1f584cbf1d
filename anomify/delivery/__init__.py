"""Deliveries: the outbox of messages, each sent at least once."""
