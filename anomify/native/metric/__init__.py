"""Routes under /metric and /metrics."""
