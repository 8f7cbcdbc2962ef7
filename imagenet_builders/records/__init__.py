"""Records of datasets that were built: what is in them, and how they are rows to build from."""
