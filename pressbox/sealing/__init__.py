"""The file: signed, written in one step, and opened without believing it. A file for each step."""
