"""What happens to new datapoints: `pipeline/observe.py` shows the order, each step has its own file."""
