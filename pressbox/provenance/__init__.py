"""Where a model comes from: the statement that it carries, and the code that trained it."""
