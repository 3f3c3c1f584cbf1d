"""Deletion of one metric with everything that belongs to it."""
