"""Events counted on web pages, minute by minute, each minute stored as a datapoint."""
