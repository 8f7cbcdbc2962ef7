"""The runner for clusters: each list of jobs is an Apache Beam pipeline."""
