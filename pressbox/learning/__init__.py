"""From texts to numbers that are the same on every machine, and how good these are."""
