"""Anomify watches metrics and tells people when one behaves as it never should."""
