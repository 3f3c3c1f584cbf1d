"""Notification channels, one file per kind: e-mail, chats, pagers, text messages and webhooks."""
