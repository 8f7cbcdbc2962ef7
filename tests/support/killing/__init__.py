"""Builds that are ended at chosen points, and what becomes of what they leave."""
