"""DOCSTRING of plan."""
