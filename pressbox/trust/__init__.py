"""Whose signature counts, and which key signs: GnuPG and the keys in ``gnupg/``."""
