"""Routes of /patterns and /pattern."""
