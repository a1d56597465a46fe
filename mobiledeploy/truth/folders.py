"""Images in one folder for each thing that they show."""

from __future__ import annotations

from pathlib import Path

from mobiledeploy.errors import InputError
from mobiledeploy.images import find_images


def images_by_folder(folder: Path, hint: str) -> dict[str, list[Path]]:
    """Images below each folder in a folder, by its name, in order; empty folders count.

    Args:
        folder: that holds the folders; images may lie deeper in them.
        hint: what to do where there are none, for the message.

    Raises:
        InputError: no images, or none in a folder of its own.
    """
    found: dict[str, list[Path]] = {
        path.name: []
        for path in sorted(folder.iterdir() if folder.is_dir() else ())
        if path.is_dir() and not path.name.startswith((".", "__"))
    }
    for path in find_images(folder):
        parts = path.relative_to(folder).parts
        if len(parts) > 1:
            found[parts[0]].append(path)
    if not any(found.values()):
        raise InputError(
            "the images have no labels: they lie side by side, not in folders", where=str(folder), hint=hint
        )
    return found
