"""The point log, the chunk store, and the in-memory tail of points not yet in chunks."""
