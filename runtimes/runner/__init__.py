"""The program that runs a model on a device, how to build it, and what it says."""
