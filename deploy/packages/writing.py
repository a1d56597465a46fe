"""A plan into a folder: whole or not at all, and never over files that are not ours."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath

from mobiledeploy.deploy.outputs import replace_folder, temporary_beside
from mobiledeploy.deploy.packages.plan import LISTING, PackagePlan, is_inside
from mobiledeploy.errors import InputError
from mobiledeploy.writing import writing

_SHOWN = 3


def write_package(
    plan: PackagePlan,
    folder: Path,
    *,
    force: bool = False,
    build: Callable[[Path], list[str]] = lambda _folder: [],
) -> list[str]:
    """Write a package; an earlier one of ours in its place is replaced.

    Args:
        plan: its files.
        folder: where it comes to lie.
        force: replace files that were edited, and leave foreign files beside ours, instead of refusing.
        build: makes what is made of the files (archives) in the unfinished folder; returns remarks.

    Returns:
        The remarks.

    Raises:
        InputError: the folder holds what is not ours, or is no folder.
        OutputError: it cannot be written.
    """
    with writing(folder):
        folder = folder.resolve()
        foreign = find_foreign(folder)
    if foreign and not force:
        raise InputError(
            f"the folder holds files that are not of a package, or were edited: {_some(foreign)}",
            where=str(folder),
            hint="Choose another folder, or pass --force to write over and beside them",
        )
    with temporary_beside(folder) as partial, writing(folder):
        for file in plan.files:
            path = partial / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.content)
        remarks = build(partial)
        (partial / LISTING).write_text(listing(partial), encoding="utf-8")
        _move(partial, folder, keep=bool(foreign))
    return remarks


def listing(folder: Path) -> str:
    """Digest and path of every file but itself, as ``sha256sum`` writes and checks them."""
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return "".join(f"{_digest(folder / name)}  {name}\n" for name in files if name != LISTING)


def find_foreign(folder: Path) -> list[str]:
    """Files in a folder that no package wrote, or that are no longer as it wrote them.

    Raises:
        InputError: it is there and no folder.
    """
    if not folder.exists():
        return []
    if not folder.is_dir():
        raise InputError("is a file, not a folder", where=str(folder), hint="Choose another place with -o")
    ours = read_listing(folder)
    found = ((path, path.relative_to(folder).as_posix()) for path in _files_and_links(folder))
    return sorted(name for path, name in found if not _is_ours(path, name, ours))


def _files_and_links(folder: Path) -> Iterator[Path]:
    for base, folders, files in os.walk(folder):
        yield from (Path(base, name) for name in files)
        yield from (path for name in folders if (path := Path(base, name)).is_symlink())


def read_listing(folder: Path) -> dict[str, str]:
    """Path -> sha256 of what a package wrote; empty where there is no list."""
    try:
        text = (folder / LISTING).read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return {}
    parts = (line.split("  ", 1) for line in text.splitlines())
    return {item[1]: item[0] for item in parts if len(item) == 2}


def _is_ours(path: Path, name: str, ours: dict[str, str]) -> bool:
    if path.is_symlink():
        return False
    return (name == LISTING and bool(ours)) or (name in ours and ours[name] == _digest(path))


def _move(partial: Path, folder: Path, keep: bool) -> None:
    """The finished folder to its name: at once where nothing foreign is there, else file by file."""
    if keep:
        _remove_ours(folder)
        for source in sorted(path for path in partial.rglob("*") if path.is_file()):
            goal = folder / source.relative_to(partial)
            if goal.is_symlink() or not goal.resolve().is_relative_to(folder):
                raise InputError(
                    "a link is in the way", where=str(goal), hint="Remove it, or choose another place with -o"
                )
            goal.parent.mkdir(parents=True, exist_ok=True)
            source.replace(goal)
        return
    if folder.exists():
        replace_folder(partial, folder)
    else:
        partial.rename(folder)


def _remove_ours(folder: Path) -> None:
    """What an earlier package wrote and nobody edited: it would be found beside the new one."""
    for name, digest in read_listing(folder).items():
        path = folder / name
        if not is_inside(PurePosixPath(name)) or not path.resolve().is_relative_to(folder):
            continue
        if path.is_file() and not path.is_symlink() and _digest(path) == digest:
            path.unlink()


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _some(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
