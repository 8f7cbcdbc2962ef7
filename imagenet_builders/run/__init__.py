"""Runners: processes on this machine, or a Beam runner, that call a function for each job."""
