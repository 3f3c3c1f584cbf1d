"""The worker process: judging, rebuilding, delivering and clean-up, one task per file."""
