"""What somebody may add to the package, whole and small, each in a folder of its own."""
