"""Orgs: tenants with their own metrics, users and tokens, isolated from each other."""
