"""DOCSTRING of run/beam."""
