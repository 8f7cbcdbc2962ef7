"""DOCSTRING of formats/squashfs."""
