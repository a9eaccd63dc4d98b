"""Halos that were built: a growing host, the satellites that fell into it, and what became of their stars."""
