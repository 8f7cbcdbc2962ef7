"""Clusters of this one machine that run as real ones do."""
