"""Accuracy and latency of a converted file; never imports torch."""
