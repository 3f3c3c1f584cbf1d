"""The worker process: judging, rebuilding, delivering and sweeping, one duty a file."""
