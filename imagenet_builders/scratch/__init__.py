"""DOCSTRING of scratch."""
