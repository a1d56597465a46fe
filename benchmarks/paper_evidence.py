"""The paper's comparisons on handwritten digits: small-scale evidence and nothing more.

    python benchmarks/paper_evidence.py --seeds 5 --epochs 30

Trains with one recipe on the 8 x 8 digits that scikit-learn ships (1797 images: 1197 to learn from, 600 to be
judged by), and compares in pairs of equal seeds:

* MobileNet with its full-convolution twin of the same width (Table 4 of arXiv 1704.04861),
* a thin network with a shallow one of about the same cost (Table 5),
* a student that was told a teacher's soft labels with one that was told the true ones (section 4.5).

Accuracy is top-1 after the last epoch, so that nothing is chosen on the images that judge.  Intervals are 95%
t-intervals over the seeds of the difference between pairs: what another seed would change, not other digits.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.stats import t as student_t
from sklearn.datasets import load_digits

from mobiledeploy.deploy.costing import cost_of
from mobiledeploy.deploy.training import train
from mobiledeploy.models.training.settings import Settings, make_settings

JUDGING = 600
RESOLUTION = 32
# (name, model, width): thin and shallow are at the ratio of Table 5, 0.75 to 1.
MOBILENET, CONV = ("MobileNet", "mobilenet_v1", 0.25), ("Conv MobileNet", "mobilenet_v1_conv", 0.25)
THIN, SHALLOW = ("thin", "mobilenet_v1", 0.375), ("shallow", "mobilenet_v1_shallow", 0.5)
TEACHER = ("teacher", "mobilenet_v1", 0.75)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--json", type=Path, help="Put every accuracy here, too.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = measure(Path(folder), options.seeds, options.epochs)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2))
    show(results)


def measure(folder: Path, seeds: int, epochs: int) -> dict[str, list[float]]:
    """Accuracy of each network by seed."""
    write_digits(folder)
    results: dict[str, list[float]] = {}
    for seed in range(seeds):
        # Handwriting is not mirrored; the recipe of later networks needs fewer epochs than the paper's.
        settings = make_settings(
            "modern", {"epochs": epochs, "seed": seed, "flip": False, "smallest_crop": 0.7}
        )
        for name, model, width in (MOBILENET, CONV, THIN, SHALLOW, TEACHER):
            accuracy = fit(folder, f"{name} {seed}", model, width, settings)
            results.setdefault(name, []).append(accuracy)
            print(f"seed {seed}: {name} {100 * accuracy:.2f}%", flush=True)
        teacher = str(folder / f"{TEACHER[0]} {seed}" / "last.safetensors")
        _, model, width = MOBILENET
        accuracy = fit(folder, f"distilled {seed}", model, width, settings, teacher)
        results.setdefault("distilled", []).append(accuracy)
        print(f"seed {seed}: distilled {100 * accuracy:.2f}%", flush=True)
    return results


def fit(
    folder: Path, name: str, model: str, width: float, settings: Settings, teacher: str | None = None
) -> float:
    """Train, and say the top-1 of the last epoch on the images that judge."""
    teaching = {"teacher": teacher} if teacher else {}
    trained = train(
        model,
        folder / "learning",
        folder / name,
        validation=folder / "judging",
        width=width,
        resolution=RESOLUTION,
        settings=settings,
        **teaching,
    )
    if teacher is None:
        return trained.epochs[-1].validation or 0.0
    # A student's validation says how often it agrees with its teacher; labels judge it here.
    return judge(folder, trained.last)


def judge(folder: Path, checkpoint: Path) -> float:
    """Top-1 of a checkpoint."""
    import torch

    from mobiledeploy import models
    from mobiledeploy.images import load_image
    from mobiledeploy.preprocessing import normalise, prepare
    from mobiledeploy.truth.classes import list_images

    source = models.load(str(checkpoint))
    rule = source.preprocessing
    images = list_images(folder / "judging")
    pixels = np.stack([normalise(prepare(load_image(image.path), rule), rule) for image in images])
    with torch.inference_mode():
        predicted = source.module(torch.from_numpy(pixels).permute(0, 3, 1, 2)).argmax(dim=1)
    return float((predicted.numpy() == [image.label for image in images]).mean())


def write_digits(folder: Path) -> None:
    """One folder for each digit; the last images judge, as they come from other writers."""
    digits = load_digits()
    for index, (image, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        part = "judging" if index >= len(digits.images) - JUDGING else "learning"
        place = folder / part / str(label)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.uint8(np.rint(image * 255 / 16))).save(place / f"{index}.png")


def show(results: dict[str, list[float]]) -> None:
    """Networks with their costs, then the comparisons."""
    print(f"\n{'network':16s} {'M mult-adds':>11s} {'M parameters':>12s} {'top-1 %':>8s} {'sd':>5s}")
    for name, model, width in (MOBILENET, CONV, THIN, SHALLOW, TEACHER):
        cost = cost_of(model, weights="random", width=width, resolution=RESOLUTION)
        shares = [100 * value for value in results[name]]
        spread = statistics.stdev(shares) if len(shares) > 1 else math.nan
        print(
            f"{name:16s} {cost.mult_adds / 1e6:11.2f} {cost.parameters / 1e6:12.3f} "
            f"{statistics.mean(shares):8.2f} {spread:5.2f}"
        )
    print()
    compare("Conv MobileNet less MobileNet", results[CONV[0]], results[MOBILENET[0]], "1.1 (Table 4)")
    compare("thin less shallow", results[THIN[0]], results[SHALLOW[0]], "3.1 (Table 5)")
    compare("distilled less labels", results["distilled"], results[MOBILENET[0]], "not given for classes")


def compare(title: str, ours: Sequence[float], theirs: Sequence[float], paper: str) -> None:
    """Mean difference over the seeds in points, with its 95% t-interval."""
    differences = [100 * (a - b) for a, b in zip(ours, theirs, strict=True)]
    mean = statistics.mean(differences)
    half = math.nan
    if len(differences) > 1:
        error = statistics.stdev(differences) / math.sqrt(len(differences))
        half = float(student_t.ppf(0.975, len(differences) - 1)) * error
    print(f"{title:30s} {mean:+5.2f} points (95%: {mean - half:+.2f} to {mean + half:+.2f}); paper {paper}")


if __name__ == "__main__":
    main()
