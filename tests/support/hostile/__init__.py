"""Sources made to do harm: damaged ones, and small ones that claim to be huge."""
