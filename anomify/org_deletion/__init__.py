"""Export and deletion of an org with everything that belongs to it."""
