"""Watchers: which users and webhooks are notified about which metrics."""
