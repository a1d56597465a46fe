"""Make ``import torchvision`` work where its compiled library does not load.

A torchvision wheel built for CUDA beside a CPU torch cannot load its library, and its Python code
then fails on registering fake kernels for ``torchvision::`` operators that nobody declared.  Model
definitions need no such operator to run, only its declaration.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

# Operators that torchvision registers fake kernels for on import, whether or not its library loaded.
SCHEMAS = {
    "nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}


def declare_missing() -> bool:
    """Declare the operators if torchvision's own library cannot; to be called before importing it.

    Calling it again, or where torchvision is whole or absent, changes nothing.

    Returns:
        Whether any was declared here.
    """
    import torch

    spec = importlib.util.find_spec("torchvision")
    if spec is None:
        return False
    for folder in spec.submodule_search_locations or ():
        for library in sorted(Path(folder).glob("_C*")):
            try:
                torch.ops.load_library(library)  # type: ignore[no-untyped-call]
            except OSError:
                continue
    missing = [name for name in SCHEMAS if not hasattr(torch.ops.torchvision, name)]
    for name in missing:
        torch.library.define(f"torchvision::{name}", SCHEMAS[name])
    return bool(missing)
