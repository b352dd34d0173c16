"""Load shapes: how many users, and when."""
