"""DOCSTRING of write."""
