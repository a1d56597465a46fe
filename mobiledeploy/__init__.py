"""Trained MobileNets from PyTorch to verified files for phones and boards."""

from __future__ import annotations

__version__ = "0.1.0"
