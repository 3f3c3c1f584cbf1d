"""The pages of the browser dashboard, and the HTML fragments that refresh them."""
