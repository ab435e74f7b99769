"""Whole undertakings: a training from beginning to end, a replay, a comparison, a check-up."""
