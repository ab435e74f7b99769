"""A model's file: signed and written in one step, and opened without believing what it says."""
