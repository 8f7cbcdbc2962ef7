"""A dataset from outside the package: two archives of pictures of three classes."""
