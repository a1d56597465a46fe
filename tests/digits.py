"""Handwritten digits as images: real data that a package ships."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

JUDGING = 297


def write_digits(folder: Path) -> tuple[Path, Path]:
    """Folders to learn from (1500 images) and to be judged by (297), one folder for each digit in them.

    The last images judge: they are of other writers.
    """
    digits = load_digits()
    for index, (image, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        part = "judging" if index >= len(digits.images) - JUDGING else "learning"
        place = folder / part / f"digit {label}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.uint8(np.rint(image * 255 / 16))).save(place / f"{index:04}.png")
    return folder / "learning", folder / "judging"
