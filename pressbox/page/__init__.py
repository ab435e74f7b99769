"""The page beside a model."""
