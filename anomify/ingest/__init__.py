"""The doors that datapoints come in by: each speaks one protocol and hands on to `accept`."""
