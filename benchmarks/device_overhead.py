"""What the harness adds to the engine: between two inferences, and to a whole evaluation, on this machine.

    python benchmarks/device_overhead.py [MODEL.tflite] [--images DIR --labels CSV] [--times N]

Prints two ratios: time between the end of an inference and the begin of the next, over the
inference; and images per second of ``evaluate --device local`` over the engine's own rate, with the
images N times over: the first and the last chunk are waited for once.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import median

from accuracy import IMAGES

from mobiledeploy.deploy.conversion import convert_all
from mobiledeploy.deploy.evaluation import evaluate_device
from mobiledeploy.deploy.sources import as_source
from mobiledeploy.device_tests.benchmark import benchmark
from mobiledeploy.device_tests.device_accuracy import Options
from mobiledeploy.device_tests.plan import Plan
from mobiledeploy.runtimes.formats import read_artifact
from mobiledeploy.runtimes.runner.request import Timing
from mobiledeploy.truth.classes import list_images


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?", help="default: MobileNetV2 in fp32")
    parser.add_argument("--images", type=Path, default=IMAGES)
    parser.add_argument("--labels", type=Path, default=IMAGES.with_suffix(".csv"))
    parser.add_argument("--times", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = given.model or converted(Path(folder))
        print(f"{model.name}: between inferences {between(model):.4%} of an inference")
        options = Options(threads=1)
        images, labels = repeated(given.images, given.labels, given.times, Path(folder))
        run = evaluate_device(model, images, "local", labels=labels, options=options, compare=False)
    whole, engine = run.images_per_second, run.images / (run.engine_seconds or 1)
    print(f"{whole:.1f} images/s, the engine alone {engine:.1f}: {whole / engine:.1%}")


def repeated(images: Path, labels: Path, times: int, folder: Path) -> tuple[Path, Path]:
    """The images under so many names, and their labels."""
    (folder / "images").mkdir()
    rows = ["file,label"]
    for image in list_images(images, labels):
        for turn in range(times):
            name = f"{turn}-{image.name.replace('/', '-')}"
            (folder / "images" / name).symlink_to(image.path.resolve())
            rows.append(f"{name},{image.label}")
    (folder / "labels.csv").write_text("\n".join(rows))
    return folder / "images", folder / "labels.csv"


def converted(folder: Path) -> Path:
    """The default model."""
    source = as_source("mobilenet_v2")
    return convert_all(source, ("tflite",), name="mobilenet_v2", output=folder)[0].artifact.path


def between(model: Path) -> float:
    """Median over the inferences of five launches."""
    plan = Plan((read_artifact(model),), launches=5, timing=Timing(min_runs=100, min_seconds=1))
    (measured,) = benchmark(["local"], plan)
    (run,) = measured.runs
    shares = []
    for launch in run.launches:
        ends = [start + ns for start, ns in zip(launch.starts_ns, launch.samples_ns, strict=True)]
        shares += [
            (begin - end) / ns
            for begin, end, ns in zip(launch.starts_ns[1:], ends, launch.samples_ns, strict=False)
        ]
    return median(shares)


if __name__ == "__main__":
    main()
