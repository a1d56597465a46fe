"""Platforms: each is a folder here with its templates and one class.

A folder ``NAME`` with ``PLATFORM = ...`` in its ``__init__.py`` is all that a new platform takes.
"""

from __future__ import annotations

import difflib
import pkgutil
from importlib import import_module

from mobiledeploy.deploy.packages.platform import Platform
from mobiledeploy.errors import InputError


def names() -> list[str]:
    """Of all platforms, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.ispkg)


def find_platform(name: str) -> Platform:
    """The platform of a name.

    Raises:
        InputError: there is none; lists those that there are.
    """
    known = names()
    if name not in known:
        near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.5)
        guess = f"Did you mean {near[0]}? " if near else ""
        raise InputError(
            f"there is no platform {name!r}", where="--platform", hint=f"{guess}Platforms: {', '.join(known)}"
        )
    platform: Platform = import_module(f"{__name__}.{name}").PLATFORM
    return platform
