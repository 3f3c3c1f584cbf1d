"""The pages people use in a browser, and the fragments that keep them fresh."""
