"""Verification of built datasets: everything in them is read and held against what it should be."""
