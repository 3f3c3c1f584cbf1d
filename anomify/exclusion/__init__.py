"""Exclusions: rules that keep metrics out of judging, and out of the quota."""
