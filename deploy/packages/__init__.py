"""Packages: a model file as a library for an app, generated from its contract."""
