"""Exclusions: rules that keep metrics from being judged and from counting against the quota."""
