"""Anomalies: a case with a life of its own, and the evidence it rests on."""
