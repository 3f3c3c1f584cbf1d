"""Notification channels, one file per kind: e-mail and webhook."""
