"""Matches: excursions that would have been anomalies and were explained by a pattern."""
