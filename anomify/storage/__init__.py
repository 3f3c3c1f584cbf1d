"""The point log and the chunk store, and the tail that joins them."""
