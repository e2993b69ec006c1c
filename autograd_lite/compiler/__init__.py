"""Compile a recorded graph to machine code."""
