"""A wheel of the package's Python files (the binary distribution format of packaging.python.org)."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from mobiledeploy.deploy.packages.archives import ArchiveEntry, write_archive

_WHEEL = "Wheel-Version: 1.0\nGenerator: mobiledeploy\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def wheel_name(module: str, version: str) -> str:
    """Its file name, which says for whom it is: every Python 3 on every machine."""
    return f"{module}-{version}-py3-none-any.whl"


def write_wheel(path: Path, module: str, metadata: str, files: Mapping[str, bytes], *, version: str) -> None:
    """Write a wheel; the same content gives the same bytes.

    Args:
        path: named by ``wheel_name``.
        module: that is imported.
        metadata: text of ``METADATA``.
        files: path, below ``site-packages``, to content.
        version: of the distribution.
    """
    info = f"{module}-{version}.dist-info"
    content = {**files, f"{info}/METADATA": metadata.encode(), f"{info}/WHEEL": _WHEEL.encode()}
    content[f"{info}/RECORD"] = _record(content, f"{info}/RECORD").encode()
    write_archive(path, [ArchiveEntry(name, content[name]) for name in content])


def metadata_text(
    module: str, version: str, summary: str, python: str, requirements: Iterable[str], readme: str
) -> str:
    """``METADATA``: core metadata 2.1, with the README as the description."""
    lines = [
        "Metadata-Version: 2.1",
        f"Name: {distribution_name(module)}",
        f"Version: {version}",
        f"Summary: {summary}",
        f"Requires-Python: >={python}",
        *(f"Requires-Dist: {requirement}" for requirement in requirements),
        "Description-Content-Type: text/markdown",
    ]
    return "\n".join(lines) + f"\n\n{readme}"


def distribution_name(module: str) -> str:
    """What pip calls it."""
    return module.replace("_", "-")


def read_record(text: str) -> Iterator[tuple[str, str]]:
    """(path, digest) of every line of a RECORD, as ``digest_of`` writes it; itself has none."""
    for row in csv.reader(io.StringIO(text)):
        if row:
            yield row[0], row[1] if len(row) > 1 else ""


def digest_of(content: bytes) -> str:
    """As a RECORD says it."""
    return f"sha256={base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b'=').decode()}"


def _record(content: Mapping[str, bytes], itself: str) -> str:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerows((name, digest_of(content[name]), len(content[name])) for name in sorted(content))
    rows.writerow((itself, "", ""))
    return text.getvalue()
