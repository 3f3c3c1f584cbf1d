"""The commands of `anomify`, one file each."""
