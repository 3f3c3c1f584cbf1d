"""Who is asking, by what right, and whether they mean it."""
