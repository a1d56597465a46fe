"""Results to where the user finds them; what is there already is not written again."""

from __future__ import annotations

import shutil
from pathlib import Path

from mobiledeploy.deploy.outputs import copy_whole
from mobiledeploy.deploy.packages.plan import LISTING
from mobiledeploy.deploy.packages.writing import find_foreign
from mobiledeploy.deploy.pipeline.cache import Entry, digest_of
from mobiledeploy.deploy.pipeline.step import Step
from mobiledeploy.errors import InputError, OutputError
from mobiledeploy.writing import writing


def publish(step: Step, entry: Entry, work: Path) -> tuple[str, ...]:
    """Copy a step's outputs into the project: each appears whole or not at all.

    Args:
        step: says where they go; the current folder is the project's.
        entry: holds them.
        work: a folder of the same file system for what is unfinished.

    Returns:
        Their paths.

    Raises:
        InputError: a place is outside the project, or holds what is not ours.
        OutputError: it cannot be written.
    """
    return tuple(_publish(entry, name, Path(path), work) for name, path in step.publishes.items())


def _publish(entry: Entry, name: str, final: Path, work: Path) -> str:
    if not final.resolve().is_relative_to(Path.cwd().resolve()):
        raise InputError(
            "a link leads out of the project",
            where=str(final),
            hint="Remove it, or choose another convert.output",
        )
    if digest_of(final) == entry.files[name]:
        return str(final)
    source, fresh = entry.folder / name, work / f"publish-{final.name}"
    _check_ours(final, source)
    with writing(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        _remove(fresh)
        copy_whole(source, fresh)
        if final.is_dir() and not final.is_symlink():
            # A folder cannot be replaced in one step; the next run makes good what is killed in between.
            aside = work / f"old-{final.name}"
            _remove(aside)
            final.rename(aside)
        fresh.rename(final)
    return str(final)


def retract(step: Step, entry: Entry) -> tuple[str, ...]:
    """Take away what an earlier run published and is not so any longer; what somebody edited stays.

    Args:
        step: that has not come to a result.
        entry: of its last result, which stays where results are kept.

    Returns:
        Paths that are gone.

    Raises:
        OutputError: it cannot be removed.
    """
    gone = []
    for name, path in step.publishes.items():
        if name in entry.files and digest_of(Path(path)) == entry.files[name]:
            with writing(Path(path)):
                _remove(Path(path))
            gone.append(path)
    return tuple(gone)


def _check_ours(final: Path, source: Path) -> None:
    """Refuse to write over what may be somebody's work; a model file is replaced, as by ``convert``."""
    if not final.exists() or final.is_dir() == source.is_dir():
        foreign = find_foreign(final) if (source / LISTING).exists() else []
        if foreign:
            raise InputError(
                f"the folder holds files that are not of a package, or were edited: {foreign[0]}",
                where=str(final),
                hint="Move it away, or choose another convert.output",
            )
        return
    raise OutputError(
        f"a {'folder' if final.is_dir() else 'file'} of that name is there already",
        where=str(final),
        hint="Remove it, or choose another convert.output",
    )


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
