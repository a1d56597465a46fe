"""Run a converted file, and read what it really holds; never imports torch."""
