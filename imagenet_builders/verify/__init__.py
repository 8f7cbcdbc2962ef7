"""Verifies built datasets: reads everything in them and compares it with what it should be."""
