"""Outgoing HTTP and SMTP: deadlines, size limits, no private addresses."""
