"""An org is a tenant: its own metrics, people and tokens, invisible to every other org."""
