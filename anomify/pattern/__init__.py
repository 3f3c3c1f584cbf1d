"""Patterns: excursions of metrics that people accepted as normal, or marked as abnormal."""
