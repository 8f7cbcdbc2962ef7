"""Rows of images and boxes out of formats; a kind of source is a module behind a row of `kinds`."""
