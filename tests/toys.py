"""Small data sets that a tiny network learns in seconds, one for each task: drawn, not photographed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SIDE = 48
COLOURS = {"blue": (60, 90, 220), "green": (60, 180, 80), "red": (220, 60, 50)}


def colour_folders(folder: Path, each: int = 12, seed: int = 0) -> Path:
    """One folder for each of three colours."""
    generator = np.random.default_rng(seed)
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for index in range(each):
            _picture(generator, colour).save(folder / name / f"{index}.png")
    return folder


def attribute_table(folder: Path, count: int = 36, seed: int = 0) -> Path:
    """Pictures with a dark bar above, below, both or none; returns the table."""
    generator = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["file,above,below"]
    for index in range(count):
        above, below = (bool(generator.random() < 0.5) for _ in range(2))
        picture = _picture(generator, (200, 200, 200))
        draw = ImageDraw.Draw(picture)
        if above:
            draw.rectangle((0, 0, SIDE, SIDE // 3), fill=(20, 20, 40))
        if below:
            draw.rectangle((0, 2 * SIDE // 3, SIDE, SIDE), fill=(20, 20, 40))
        picture.save(folder / f"{index}.png")
        lines.append(f"{index}.png,{int(above)},{int(below)}")
    table = folder / "attributes.csv"
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return table


PLACES = {"blue": (48.9, 2.4), "green": (-1.3, 36.8), "red": (35.7, 139.7)}


def place_table(folder: Path, count: int = 36, seed: int = 0) -> tuple[Path, Path]:
    """Pictures of a colour for each of three places; returns the table and the cells' centres."""
    generator = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["file,latitude,longitude"]
    for index in range(count):
        name = list(PLACES)[index % len(PLACES)]
        _picture(generator, COLOURS[name]).save(folder / f"{index}.png")
        latitude, longitude = np.array(PLACES[name]) + generator.uniform(-0.5, 0.5, 2)
        lines.append(f"{index}.png,{latitude:.4f},{longitude:.4f}")
    table, cells = folder / "places.csv", folder / "cells.txt"
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    cells.write_text("".join(f"{a:.2f},{b:.2f}\n" for a, b in PLACES.values()), encoding="utf-8")
    return table, cells


def identity_folders(folder: Path, identities: int = 6, each: int = 8, seed: int = 0) -> Path:
    """One folder for each of some colours, as if they were people."""
    generator = np.random.default_rng(seed)
    for index in range(identities):
        hue = 255 * index // identities
        colour = Image.new("HSV", (1, 1), (hue, 180, 200)).convert("RGB").getpixel((0, 0))
        (folder / f"person {index}").mkdir(parents=True, exist_ok=True)
        for number in range(each):
            _picture(generator, colour).save(folder / f"person {index}" / f"{number}.png")
    return folder


def box_file(folder: Path, count: int = 32, seed: int = 0, side: int = 96) -> Path:
    """Grey pictures with a red or a blue rectangle each; returns COCO's JSON."""
    generator = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    images, annotations = [], []
    for index in range(count):
        kind = index % 2
        picture = _picture(generator, (128, 128, 128), side)
        width, height = (int(value) for value in generator.integers(side // 3, side // 2, 2))
        left, top = int(generator.integers(side - width)), int(generator.integers(side - height))
        colour = COLOURS["red" if kind else "blue"]
        ImageDraw.Draw(picture).rectangle((left, top, left + width - 1, top + height - 1), fill=colour)
        picture.save(folder / f"{index}.png")
        images.append({"id": index, "file_name": f"{index}.png", "width": side, "height": side})
        annotations.append(
            {"id": index, "image_id": index, "category_id": kind + 1, "bbox": [left, top, width, height]}
        )
    categories = [{"id": 1, "name": "blue thing"}, {"id": 2, "name": "red thing"}]
    file = folder / "instances.json"
    data = {"images": images, "annotations": annotations, "categories": categories}
    file.write_text(json.dumps(data), encoding="utf-8")
    return file


def _picture(
    generator: np.random.Generator, colour: tuple[int, ...] | float | None, side: int = SIDE
) -> Image.Image:
    noise = generator.normal(0, 25, (side, side, 3))
    return Image.fromarray(np.uint8(np.clip(np.asarray(colour, float) + noise, 0, 255)))
