"""Billing: an org's plan and quota, kept in step with Stripe."""
