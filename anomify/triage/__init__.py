"""Triage: what people do about anomalies, with its history: status, assignees, comments, snooze."""
