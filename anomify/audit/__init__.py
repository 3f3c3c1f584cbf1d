"""The audit trail of an org: who changed what, when and from which address; append-only."""
