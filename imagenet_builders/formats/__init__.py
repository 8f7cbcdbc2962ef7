"""Bounding boxes as the archives write them, one module a format; sources and sums, no images."""
