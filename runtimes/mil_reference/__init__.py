"""Evaluates an ML Program from its own bytes on any machine: a reference, not Core ML."""
