"""Incidents: anomalies that belong together and are told as one."""
