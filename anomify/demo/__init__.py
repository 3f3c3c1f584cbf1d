"""The demo org: generated metrics with incidents, and this machine's own metrics."""
