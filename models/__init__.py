"""MobileNets as PyTorch modules, and where their weights come from."""
