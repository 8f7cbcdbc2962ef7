"""DOCSTRING of run."""
