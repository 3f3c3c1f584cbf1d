"""Billing: what an org's plan allows, kept true by what the payment provider says."""
