"""The audit trail: who changed what in an org, from where; it only ever grows."""
