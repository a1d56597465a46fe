"""Files appear under their final name whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mobiledeploy.errors import MobileDeployError, OutputError
from mobiledeploy.writing import writing


@contextmanager
def temporary_beside(final: Path) -> Iterator[Path]:
    """A path for unfinished work in the folder of ``final``; what is left there at the end is removed.

    The folder is created if it is missing.  The suffix stays, as some writers insist on it.

    An error that speaks of the temporary name speaks of ``final`` from here on.

    Raises:
        OutputError: the folder cannot be made.
    """
    with writing(final):
        final.parent.mkdir(parents=True, exist_ok=True)
    partial = final.with_name(f".{final.stem}.{os.getpid()}.partial{final.suffix}")
    try:
        yield partial
    except MobileDeployError as error:
        error.where = error.where.replace(str(partial), str(final))
        raise
    finally:
        _remove(partial)


def copy_whole(source: Path, final: Path) -> None:
    """Copy a file, or a folder with all below it, to a name that nothing has.

    Raises:
        OSError: it cannot be written.
    """
    if source.is_dir():
        shutil.copytree(source, final)
    else:
        shutil.copyfile(source, final)


def move_into_place(partial: Path, final: Path) -> None:
    """Rename a finished file or package to ``final``, in place of an earlier one.

    Raises:
        OutputError: something that is no model package has that name, or may not be replaced.
    """
    with writing(final):
        if final.is_dir():
            _replace_package(partial, final)
        elif partial.is_dir() and final.exists():
            raise OutputError(
                "a file of that name is there already",
                where=str(final),
                hint="Remove it, or choose another place with -o",
            )
        else:
            partial.replace(final)


def _replace_package(partial: Path, final: Path) -> None:
    if any(final.iterdir()) and not (final / "Manifest.json").is_file():
        raise OutputError(
            "a folder of that name is there already",
            where=str(final),
            hint="Remove it, or choose another place with -o",
        )
    replace_folder(partial, final)


def replace_folder(partial: Path, final: Path) -> None:
    """A folder cannot be replaced in one step: the old one steps aside, and comes back on failure.

    Raises:
        OSError: it could not be renamed.
    """
    aside = partial.with_name(f"{partial.name}.old")
    final.rename(aside)
    try:
        partial.rename(final)
    except OSError:
        aside.rename(final)
        raise
    _remove(aside)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
