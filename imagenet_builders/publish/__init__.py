"""DOCSTRING of publish."""
