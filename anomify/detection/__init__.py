"""The detection engine: scores datapoints incrementally, each against its own past."""
