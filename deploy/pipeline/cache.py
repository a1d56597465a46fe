"""What steps made, kept by the digest of all that it was made from, in ``.mobiledeploy`` of the project.

    cache/KEY/entry.json   what it is: a sealed file, with the digest of every output
    cache/KEY/files/       the outputs
    work/                  what is being made; nothing here outlives a run
    latest.json            step -> its last key
    digests.json           see ``digests``

An entry appears whole or not at all, and is looked through each time that it is used.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mobiledeploy.deploy.pipeline.sealed import canonical, seal, unseal
from mobiledeploy.errors import InputError
from mobiledeploy.writing import writing

FOLDER = Path(".mobiledeploy")
VERSION = 1
# Entries that no run has used for so long are removed.
_KEPT_SECONDS = 60 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Entry:
    """A step's result.

    Attributes:
        key: digest of the ingredients.
        folder: of the outputs.
        ingredients: what it was made from, by name.
        code: exit code: 0, or that of a result that is bad news and final.
        data: what the step says.
        files: output -> digest.
        seconds: that it took.
    """

    key: str
    folder: Path
    ingredients: Mapping[str, Any]
    code: int
    data: Mapping[str, Any]
    files: Mapping[str, str]
    seconds: float


class Cache:
    """The entries of one project, whose folder is the current one."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder
        latest = unseal(folder / "latest.json")
        self._latest: dict[str, str] = latest if isinstance(latest, dict) else {}

    @property
    def work(self) -> Path:
        """Where steps work."""
        return self._folder / "work"

    @property
    def digests(self) -> Path:
        """Where digests of the user's files are kept."""
        return self._folder / "digests.json"

    def find(self, key: str) -> Entry | None:
        """An entry that is whole; None if there is none, or if anything about it is not as it was written."""
        folder = self._folder / "cache" / key
        body = unseal(folder / "entry.json")
        if not isinstance(body, dict) or body.get("version") != VERSION or body.get("key") != key:
            return None
        files = {name: digest_of(folder / "files" / name) for name in body["files"]}
        if files != body["files"]:
            return None
        return Entry(
            key,
            folder / "files",
            body["ingredients"],
            body["code"],
            body["data"],
            files,
            body["seconds"],
        )

    def is_damaged(self, key: str) -> bool:
        """Whether there is an entry that cannot be used."""
        return (self._folder / "cache" / key).exists() and self.find(key) is None

    def latest(self, step: str) -> str | None:
        """Key of what a step last made."""
        return self._latest.get(step)

    def ingredients(self, key: str) -> Mapping[str, Any] | None:
        """What an entry was made from; None if that is no longer known."""
        body = unseal(self._folder / "cache" / key / "entry.json")
        return body.get("ingredients") if isinstance(body, dict) else None

    def keep(
        self,
        step: str,
        ingredients: Mapping[str, Any],
        made: Path,
        *,
        code: int,
        data: Mapping[str, Any],
        seconds: float,
    ) -> Entry:
        """Make an entry of what a step made.

        Args:
            step: its name.
            ingredients: of its key.
            made: folder with ``files``; it is moved.
            code, data, seconds: as in ``Entry``.

        Raises:
            OutputError: it cannot be written.
        """
        key = key_of(ingredients)
        folder = self._folder / "cache" / key
        with writing(folder):
            files = {path.name: digest_of(path) for path in sorted((made / "files").iterdir())}
            body = {
                "version": VERSION,
                "key": key,
                "step": step,
                "ingredients": ingredients,
                "code": code,
                "data": data,
                "files": files,
                "seconds": round(seconds, 3),
            }
            (made / "entry.json").write_text(seal(body), encoding="ascii")
            folder.parent.mkdir(parents=True, exist_ok=True)
            if folder.exists():
                # Damaged, or the step was to be done again.
                folder.rename(made.with_name(f"{made.name}.old"))
            made.rename(folder)
        self.use(step, key)
        return Entry(key, folder / "files", ingredients, code, data, files, seconds)

    def use(self, step: str, key: str) -> None:
        """Note that an entry is a step's latest, and in use.

        Raises:
            OutputError: it cannot be written.
        """
        with writing(self._folder):
            (self._folder / "cache" / key).touch()
            if self._latest.get(step) != key:
                self._latest[step] = key
                self.write("latest.json", self._latest)

    def write(self, name: str, body: Any) -> None:
        """Write a sealed file of this folder, whole or not at all.

        Raises:
            OutputError: it cannot be written.
        """
        partial = self.work / name
        with writing(self._folder / name):
            self.work.mkdir(parents=True, exist_ok=True)
            partial.write_text(seal(body), encoding="ascii")
            partial.replace(self._folder / name)

    def tidy(self) -> None:
        """Remove what broken runs left, and entries that no run has used for long.

        Raises:
            InputError: a folder is a link: what is removed would be somebody else's.
            OutputError: it cannot be removed.
        """
        entries = self._folder / "cache"
        for folder in (self._folder, self.work, entries):
            if folder.is_symlink():
                raise InputError(
                    "this is a link", where=str(folder), hint="Remove it: it is for results alone"
                )
        with writing(self.work):
            if self.work.exists():
                shutil.rmtree(self.work)
            self.work.mkdir(parents=True)
            for entry in list(entries.iterdir()) if entries.exists() else []:
                if time.time() - entry.stat().st_mtime > _KEPT_SECONDS:
                    shutil.rmtree(entry)


def key_of(ingredients: Mapping[str, Any]) -> str:
    """The digest that stands for them."""
    return hashlib.sha256(canonical([VERSION, ingredients]).encode()).hexdigest()


def digest_of(path: Path) -> str:
    """sha256 of an output: of a file, or of a folder's sorted names and files; empty: it is not there."""
    if path.is_file():
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    if not path.is_dir():
        return ""
    whole = hashlib.sha256()
    for file in sorted(item for item in path.rglob("*") if not item.is_dir()):
        whole.update(f"{file.relative_to(path).as_posix()}\0{digest_of(file)}\0".encode())
    return whole.hexdigest()
