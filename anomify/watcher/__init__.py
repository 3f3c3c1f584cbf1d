"""Watchers: who wants to hear about which metrics, and how."""
