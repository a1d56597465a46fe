"""``mobiledeploy package --check``: what a package says about itself against what it holds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from mobiledeploy.deploy.packages.manifest import MANIFEST, Manifest, contract_digest, read_manifest
from mobiledeploy.deploy.packages.platforms import find_platform
from mobiledeploy.deploy.packages.tasks import find_task
from mobiledeploy.deploy.packages.trees import Tree, ZipTree, as_tree
from mobiledeploy.errors import InputError

_ARCHIVES = frozenset({".aar", ".whl"})


@dataclass(frozen=True, slots=True)
class CheckedPackage:
    """One package, alone or in an app.

    Attributes:
        manifest: that was found.
        place: of the manifest, in the folder or archive.
        problems: what is wrong, one sentence each; empty if nothing is.
    """

    manifest: Manifest
    place: str
    problems: tuple[str, ...]


def check_package(path: Path) -> tuple[CheckedPackage, ...]:
    """Check a package's folder with the archives in it, an AAR or wheel alone, or a finished app.

    Returns:
        Every package that is in it.

    Raises:
        InputError: it cannot be read, is made to do harm, or holds no package.
    """
    with ExitStack() as stack:
        tree = as_tree(path)
        if isinstance(tree, ZipTree):
            stack.enter_context(tree)
        places = [name for name in tree.names() if PurePosixPath(name).name == MANIFEST]
        if not places:
            raise InputError(
                f"no {MANIFEST} is in it",
                where=str(path),
                hint="Give a package's folder, or an AAR, APK or wheel with one in it",
            )
        found = [_check(tree, place) for place in places]
    for archive in _archives(path):
        found += [replace(item, place=f"{archive.name}: {item.place}") for item in check_package(archive)]
    return tuple(found)


def _archives(path: Path) -> list[Path]:
    """Those of a package's folder, beside its sources."""
    if not path.is_dir():
        return []
    return sorted(item for item in path.iterdir() if item.suffix in _ARCHIVES and item.is_file())


def _check(tree: Tree, place: str) -> CheckedPackage:
    manifest = read_manifest(tree.read(place), f"{tree.where}: {place}")
    folder = str(PurePosixPath(place).parent)
    folder = "" if folder == "." else folder
    platform = find_platform(manifest.platform)
    problems = (*_common(tree, folder, manifest), *platform.check(tree, folder, manifest))
    return CheckedPackage(manifest, place, problems)


def _common(tree: Tree, folder: str, manifest: Manifest) -> Iterator[str]:
    """What holds for every platform."""
    found = _digest(tree, join(folder, manifest.model))
    if found is None:
        yield f"the model {manifest.model} is not there"
    elif found != manifest.sha256:
        yield f"the model's sha256 is {found[:12]}..., the manifest says {manifest.sha256[:12]}..."
    if contract_digest(manifest.contract) != manifest.contract_sha256:
        yield "the manifest's contract was edited: it no longer has the sha256 that the package was made with"
    yield from _labels(tree, folder, manifest)


def _labels(tree: Tree, folder: str, manifest: Manifest) -> Iterator[str]:
    known, task = manifest.contract.labels, find_task(manifest.contract.task, tree.where)
    if manifest.labels is None:
        if task.labelled:
            yield "the manifest names no labels"
        return
    try:
        labels = read_labels(tree.read(join(folder, manifest.labels)))
    except KeyError:
        yield f"the labels {manifest.labels} are not there"
        return
    except UnicodeDecodeError:
        yield f"the labels {manifest.labels} are no UTF-8 text"
        return
    classes = task.count(manifest.contract)
    if len(labels) != classes:
        yield f"{manifest.labels} has {len(labels)} labels for {classes} scores"
    elif known and tuple(labels) != known:
        number = next(i for i, label in enumerate(labels) if label != known[i])
        yield f"label {number} is {labels[number]!r}, the contract says {known[number]!r}"


def read_labels(content: bytes) -> list[str]:
    """The lines of a labels' file; only a line feed ends one."""
    lines = content.decode().split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def join(folder: str, name: str) -> str:
    """A name in a folder of a tree."""
    return f"{folder}/{name}" if folder else name


def _digest(tree: Tree, name: str) -> str | None:
    """sha256 of a file, or of a folder as ``mobiledeploy inspect`` takes it; None: not there."""
    names = tree.names()
    if name in names:
        return hashlib.sha256(tree.read(name)).hexdigest()
    inside = [item for item in names if item.startswith(f"{name}/")]
    if not inside:
        return None
    digest = hashlib.sha256()
    for item in sorted(inside, key=lambda text: PurePosixPath(text).parts):
        content = tree.read(item)
        digest.update(f"{item[len(name) + 1 :]}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()
