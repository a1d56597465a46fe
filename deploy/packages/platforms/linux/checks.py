"""What a Linux package, a wheel or an installed package can have wrong."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from io import BytesIO
from pathlib import PurePosixPath

from mobiledeploy.deploy.packages.manifest import Manifest
from mobiledeploy.deploy.packages.platforms.linux.values import (
    DECODING,
    TEMPLATES,
    contract_values,
    module_name,
    requirements,
    version_of,
)
from mobiledeploy.deploy.packages.platforms.linux.wheel import digest_of, read_record, wheel_name
from mobiledeploy.deploy.packages.templating import Templates
from mobiledeploy.deploy.packages.trees import Tree, ZipTree

# Of a classifier; of other tasks the Python module that decodes outputs.
HEADER = "c/contract.h"


def check_linux(tree: Tree, folder: str, manifest: Manifest) -> Iterator[str]:
    """See ``Platform.check``."""
    module = module_name(manifest.name)
    version = version_of(manifest.sha256, manifest.contract_sha256)
    if folder == f"python/{module}":
        yield from _generated(tree, folder, manifest)
        yield from _wheel_beside(tree, wheel_name(module, version), folder)
    else:
        site = folder.removesuffix(PurePosixPath(folder).name)
        yield from _distribution(tree, site, module, version, manifest)


def _generated(tree: Tree, folder: str, manifest: Manifest) -> Iterator[str]:
    """The one generated file that holds the contract, as it would be generated anew."""
    task = manifest.contract.task
    name, template = HEADER, f"{HEADER}.j2"
    if task != "image-classification":
        module = DECODING[task][0]
        name, template = f"{folder}/{module}.py", f"python/tasks/{task}/{module}.py.j2"
    try:
        found = tree.read(name).decode(errors="replace")
    except KeyError:
        yield f"{name} is not there"
        return
    wanted = Templates(TEMPLATES).render(template, **contract_values(manifest.contract, manifest.sha256))
    # The layout of C says nothing, that of Python does.
    same = found == wanted if name.endswith(".py") else found.split() == wanted.split()
    if not same:
        yield f"{name} is not what the contract says"


def _wheel_beside(tree: Tree, name: str, folder: str) -> Iterator[str]:
    """The wheel that was made of the folder's Python files."""
    wheels = [item for item in tree.names() if "/" not in item and item.endswith(".whl")]
    if wheels != [name]:
        yield f"the wheel for this model and contract is {name}, here is {', '.join(wheels) or 'none'}"
        return
    with ZipTree(BytesIO(tree.read(name)), f"{tree.where}: {name}") as wheel:
        for item in tree.names():
            inside = item.removeprefix("python/")
            if not item.startswith(f"{folder}/") or "__pycache__" in item:
                continue
            if inside not in wheel.names() or wheel.read(inside) != tree.read(item):
                yield f"{item} is not the one in {name}: package the model again"


def _distribution(tree: Tree, site: str, module: str, version: str, manifest: Manifest) -> Iterator[str]:
    """A wheel, or what pip unpacked of it."""
    info = f"{site}{module}-{version}.dist-info"
    if f"{info}/RECORD" not in tree.names():
        if isinstance(tree, ZipTree):
            yield f"{info}/RECORD is not there: pip cannot install it"
        return
    try:
        record = dict(read_record(tree.read(f"{info}/RECORD").decode()))
    except (UnicodeDecodeError, csv.Error):
        yield f"{info}/RECORD cannot be read"
        return
    for item in tree.names():
        if not item.startswith((f"{site}{module}/", f"{info}/")) or item.startswith(f"{info}/RECORD"):
            continue
        if "__pycache__" in item or (not isinstance(tree, ZipTree) and item.startswith(f"{info}/")):
            continue
        if record.get(item.removeprefix(site)) != digest_of(tree.read(item)):
            yield f"{item} is not as {info}/RECORD says it"
    yield from (f"{item} is not there" for item in record if f"{site}{item}" not in tree.names())
    yield from _metadata(tree, f"{info}/METADATA", version, manifest)


def _metadata(tree: Tree, name: str, version: str, manifest: Manifest) -> Iterator[str]:
    if name not in tree.names():
        return
    head = tree.read(name).decode(errors="replace").split("\n\n", 1)[0].splitlines()
    target = PurePosixPath(manifest.model).suffix[1:]
    needed = requirements("onnx" if target == "onnx" else "tflite")
    for line in (f"Version: {version}", *(f"Requires-Dist: {item}" for item in needed)):
        if line not in head:
            yield f"{name} lacks {line!r}"
