"""Scratch space: copies of archives, and what is unpacked to be read at random."""
