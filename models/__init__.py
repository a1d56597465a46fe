"""MobileNets as PyTorch modules, and where their weights come from.  Importing it imports no torch."""

from __future__ import annotations

from mobiledeploy.models.entry import ZooEntry
from mobiledeploy.models.references import load
from mobiledeploy.models.weights import Weights
from mobiledeploy.models.zoo import DEFAULT_MODEL, MODEL_FILES, Listing, catalogue, entries

__all__ = ["DEFAULT_MODEL", "MODEL_FILES", "Listing", "Weights", "ZooEntry", "catalogue", "entries", "load"]
