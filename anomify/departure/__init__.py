"""An org departs: all of it in one archive, and afterwards nothing of it is left."""
