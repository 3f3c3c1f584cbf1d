"""The demo: an org with a past, full of incidents, and this machine's own metrics."""
