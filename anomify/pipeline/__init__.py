"""What happens to new datapoints: `observe.py` shows the order, each step has its own file."""
