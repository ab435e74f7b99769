"""Bills of materials of an environment and of a model, as CycloneDX has them."""
