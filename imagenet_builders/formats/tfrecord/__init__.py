"""DOCSTRING of formats/tfrecord."""
