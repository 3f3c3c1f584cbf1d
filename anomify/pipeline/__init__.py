"""What happens to new datapoints, in order: scored, screened, recorded, announced."""
