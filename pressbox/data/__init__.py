"""Texts and labels: where they come from, how they are read, and what makes a corpus of them."""
