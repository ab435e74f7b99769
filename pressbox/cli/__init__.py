"""The command line: that of train.py, and that of pressbox."""
