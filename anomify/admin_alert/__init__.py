"""Admin alerts: letters to an org's admins when metrics stop reporting or the quota is used up."""
