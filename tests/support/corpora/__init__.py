"""Makers of small staged corpora, whole and damaged."""
