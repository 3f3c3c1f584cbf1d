"""The porch: what every request passes before a door, whoever asks."""
