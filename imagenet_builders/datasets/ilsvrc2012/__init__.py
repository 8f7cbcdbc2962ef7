"""DOCSTRING of datasets/ilsvrc2012."""
