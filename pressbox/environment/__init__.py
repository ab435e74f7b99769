"""What runs here: what it was built as, what has changed since, and what a team has accepted."""
