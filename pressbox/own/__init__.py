"""Classes of your own, which models may be made of: docs/your-own-model.md shows one."""
