"""What computes: the content of mobiledeploy's own files, and the versions of what it uses."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import mobiledeploy
from mobiledeploy.deploy.matrix import PACKAGES

# Beside those of the matrix.
_FURTHER = ("jinja2", "timm", "torchvision", "sqlalchemy", "ziglang")


def code_version() -> dict[str, str]:
    """Name -> version or digest of all that a result may depend on beside its inputs."""
    names = sorted({*(item.name for item in PACKAGES), *_FURTHER})
    installed = {name: found for name in names if (found := _version(name))}
    return {
        "mobiledeploy": own_digest(Path(mobiledeploy.__file__).parent),
        "python": platform.python_version(),
        "machine": f"{sys.platform} {platform.machine()}",
        **installed,
    }


def own_digest(folder: Path) -> str:
    """sha256 of the package's files; its rooms may be links (``mobiledeploy/deploy``)."""
    whole = hashlib.sha256()
    for base, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted(files):
            whole.update(f"{Path(base, name).relative_to(folder)}\0".encode())
            whole.update(hashlib.sha256(Path(base, name).read_bytes()).digest())
    return whole.hexdigest()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
