"""Metrics: their names, their datapoints, and how far they have been judged."""
