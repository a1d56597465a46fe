"""One file per family of ATen operators; each registers its lowerings when it is imported."""

from __future__ import annotations

import pkgutil
from importlib import import_module


def register_all() -> None:
    """Import every family in this folder."""
    for family in pkgutil.iter_modules(__path__, f"{__name__}."):
        import_module(family.name)
