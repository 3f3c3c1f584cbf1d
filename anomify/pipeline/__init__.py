"""The story of a datapoint: scored, recorded, told, in this order."""
