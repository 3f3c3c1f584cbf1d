"""What happens to new datapoints, one step in each file; `pipeline/observe.py` shows the order."""
