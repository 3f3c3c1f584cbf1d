"""Anomalies: the case with its history, and the span of a metric that is its evidence."""
