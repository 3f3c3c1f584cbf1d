"""Routes of /matches and /match."""
