"""Formats of files: bytes to structure and back. No module here knows what a dataset is."""
