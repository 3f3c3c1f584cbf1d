"""Silences: times in which anomalies are recorded and nobody is notified."""
