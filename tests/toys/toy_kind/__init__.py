"""A kind of source from outside the package: piles, files of images one behind the other."""
