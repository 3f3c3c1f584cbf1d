"""Routes of /anomalies and /anomaly."""
