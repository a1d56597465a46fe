"""Trained MobileNets from PyTorch to verified files for phones and boards.

    import mobiledeploy

    artifact = mobiledeploy.convert("mobilenet_v2", target="tflite", output="build")
    print(artifact.census.arithmetic, artifact.contract.preprocessing)

The names below are the public interface.  Importing the package imports no torch: each name loads
what it needs when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mobiledeploy.contract import Contract, Preprocessing, Provenance, TensorSpec
    from mobiledeploy.deploy.comparison import VerificationReport
    from mobiledeploy.deploy.conversion import convert
    from mobiledeploy.deploy.evaluation import evaluate
    from mobiledeploy.deploy.layer_diagnosis import diagnose
    from mobiledeploy.deploy.packages.packaging import package
    from mobiledeploy.deploy.training import train
    from mobiledeploy.deploy.verification import verify
    from mobiledeploy.device_tests.accuracy import AccuracyRun, PairedDifference, paired
    from mobiledeploy.device_tests.metric_difference import MetricDifference, compare
    from mobiledeploy.errors import (
        EnvironmentProblem,
        InputError,
        MobileDeployError,
        OutputError,
        RefusedError,
        UnsupportedError,
        VerificationError,
    )
    from mobiledeploy.models import load
    from mobiledeploy.runtimes.census import Artifact, Census
    from mobiledeploy.runtimes.formats import open_session
    from mobiledeploy.runtimes.formats import read_artifact as inspect
    from mobiledeploy.runtimes.session import Session
    from mobiledeploy.source import SourceModel

__version__ = "0.1.0"

__all__ = [
    "AccuracyRun",
    "Artifact",
    "Census",
    "Contract",
    "EnvironmentProblem",
    "InputError",
    "MetricDifference",
    "MobileDeployError",
    "OutputError",
    "PairedDifference",
    "Preprocessing",
    "Provenance",
    "RefusedError",
    "Session",
    "SourceModel",
    "TensorSpec",
    "UnsupportedError",
    "VerificationError",
    "VerificationReport",
    "__version__",
    "compare",
    "convert",
    "diagnose",
    "evaluate",
    "inspect",
    "load",
    "open_session",
    "package",
    "paired",
    "train",
    "verify",
]

# Name -> module, and the name in it where that is another.
_HOMES = {
    **dict.fromkeys(("Contract", "Preprocessing", "Provenance", "TensorSpec"), "contract"),
    **dict.fromkeys(
        (
            "EnvironmentProblem",
            "InputError",
            "MobileDeployError",
            "OutputError",
            "RefusedError",
            "UnsupportedError",
            "VerificationError",
        ),
        "errors",
    ),
    **dict.fromkeys(("AccuracyRun", "PairedDifference", "paired"), "device_tests.accuracy"),
    **dict.fromkeys(("MetricDifference", "compare"), "device_tests.metric_difference"),
    **dict.fromkeys(("Artifact", "Census"), "runtimes.census"),
    "Session": "runtimes.session",
    "VerificationReport": "deploy.comparison",
    "verify": "deploy.verification",
    "SourceModel": "source",
    "convert": "deploy.conversion",
    "diagnose": "deploy.layer_diagnosis",
    "evaluate": "deploy.evaluation",
    "inspect": "runtimes.formats:read_artifact",
    "load": "models",
    "open_session": "runtimes.formats",
    "package": "deploy.packages.packaging",
    "train": "deploy.training",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, other = _HOMES[name].partition(":")
    return getattr(import_module(f"{__name__}.{module}"), other or name)


def __dir__() -> list[str]:
    return sorted(__all__)
