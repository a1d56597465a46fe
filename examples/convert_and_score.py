"""Convert a model to every format and score each file on labelled images.

python examples/convert_and_score.py photos photos.csv
"""

from __future__ import annotations

import sys
from pathlib import Path

import mobiledeploy


def main(images: str, labels: str) -> None:
    """Write to ``build/example``, one line per format."""
    source = mobiledeploy.load("mobilenet_v2")
    runs = []
    for target in ("tflite", "onnx", "coreml"):
        artifact = mobiledeploy.convert(source, target=target, output=Path("build") / "example")
        run = mobiledeploy.evaluate(artifact.path, images, labels=labels)
        runs.append(run)
        same = mobiledeploy.paired(runs[0], run).agreement
        sys.stdout.write(f"{artifact.path.name}: top-1 {run.top1.share:.1%}, same as the first: {same:.1%}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
