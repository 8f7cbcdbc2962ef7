"""Publishing: one builder at a time, and readers see a dataset only when it is whole."""
