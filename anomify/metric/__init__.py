"""Metrics: names, datapoints, status and settings."""
