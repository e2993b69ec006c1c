"""Measured comparisons with other engines: programs to run, not tests."""
