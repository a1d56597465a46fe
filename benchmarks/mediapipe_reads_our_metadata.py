"""Whether MediaPipe Tasks reads our metadata: its reader, and its ImageClassifier on a real image.

    python benchmarks/mediapipe_reads_our_metadata.py IMAGE FILE.tflite...

The first run installs MediaPipe into build/mediapipe (about 400 MB).  For every file, which must be an
image classifier made by mobiledeploy, it prints what MediaPipe's metadata reader and classifier see
next to what our own session computes on the same pixels, and ends with code 1 where they differ.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import numpy as np
from PIL import Image

from mobiledeploy.contract import Contract, TensorSpec
from mobiledeploy.runtimes.tflite_file import read
from mobiledeploy.runtimes.tflite_session import open_session

HOME = Path(__file__).parents[1] / "build" / "mediapipe"
# The last release whose metadata reader works in Python; without the parts that it does not need.
PACKAGES = (
    "mediapipe==0.10.21",
    "numpy<2",
    "flatbuffers<26",
    "absl-py",
    "protobuf<5",
    "attrs",
    "opencv-python-headless==4.10.0.84",
    "pillow",
    "matplotlib==3.9.4",
    *("contourpy", "cycler", "fonttools", "kiwisolver", "packaging", "pyparsing", "python-dateutil", "six"),
)

IN_MEDIAPIPE = """
import json, sys
import mediapipe
from mediapipe.tasks.python import BaseOptions, vision
from mediapipe.tasks.python.metadata import metadata

path, image = sys.argv[1:]
reader = metadata.MetadataDisplayer.with_model_file(path)
notes = json.loads(reader.get_metadata_json())["subgraph_metadata"][0]
files = reader.get_packed_associated_file_list()
options = vision.ImageClassifierOptions(base_options=BaseOptions(model_asset_path=path), max_results=1)
with vision.ImageClassifier.create_from_options(options) as classifier:
    best = classifier.classify(mediapipe.Image.create_from_file(image)).classifications[0].categories[0]
print(json.dumps({
    "version": mediapipe.__version__,
    "files": files,
    "labels": len(reader.get_associated_file_buffer(files[0]).decode().splitlines()),
    "process_units": notes["input_tensor_metadata"][0]["process_units"],
    "class": best.category_name, "index": best.index, "score": best.score,
}))
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("image", type=Path)
    parser.add_argument("files", type=Path, nargs="+")
    arguments = parser.parse_args()
    python = install()
    agreed = [compare(python, path, arguments.image) for path in arguments.files]
    return 0 if all(agreed) else 1


def install() -> Path:
    python = HOME / "bin" / "python"
    if not (HOME / "ready").exists():
        venv.create(HOME, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", *PACKAGES], check=True)
        (HOME / "ready").touch()
    return python


def compare(python: Path, path: Path, image: Path) -> bool:
    """Both on the same pixels: the image is brought to the model's size before, as PNG."""
    contract = read(path).contract
    if contract is None or contract.preprocessing is None:
        raise SystemExit(f"{path} carries no contract for images")
    size = (contract.preprocessing.width, contract.preprocessing.height)
    pixels = Image.open(image).convert("RGB").resize(size, Image.Resampling.BILINEAR)
    index, score = ours(path, contract, np.asarray(pixels))
    with tempfile.TemporaryDirectory() as folder:
        png = Path(folder) / "pixels.png"
        pixels.save(png)
        command = [python, "-c", IN_MEDIAPIPE, path, png]
        answer = subprocess.run(command, check=False, capture_output=True, text=True)
    if answer.returncode:
        print(f"{path.name}: MediaPipe refuses it: {answer.stderr.strip().splitlines()[-1]}")
        return False
    theirs = json.loads(answer.stdout.splitlines()[-1])
    print(f"{path.name}: MediaPipe {theirs['version']} finds {theirs['labels']} labels in {theirs['files']}")
    print(f"  input: {json.dumps(theirs['process_units'])}")
    print(f"  MediaPipe: {theirs['index']} {theirs['class']!r} {theirs['score']:.5f}")
    print(f"  ours:      {index} {contract.labels[index]!r} {score:.5f}")
    same_class = (theirs["index"], theirs["class"]) == (index, contract.labels[index])
    return same_class and abs(theirs["score"] - score) <= 0.01 * max(1.0, abs(score))


def ours(path: Path, contract: Contract, pixels: np.ndarray) -> tuple[int, float]:
    """Best class and its score, dequantized."""
    session = open_session(path)
    given, result = session.inputs[0], session.outputs[0]
    scores = session.run([stored(pixels, given, contract)])[0][0].astype(np.float64)
    if result.scale is not None:
        scores = result.scale * (scores - (result.zero_point or 0))
    return int(scores.argmax()), float(scores.max())


def stored(pixels: np.ndarray, spec: TensorSpec, contract: Contract) -> np.ndarray:
    """Pixels as the model takes them; uint8 input takes them as they are."""
    if spec.dtype == "uint8":
        return pixels[None]
    rule = contract.preprocessing
    return ((pixels - np.float32(rule.mean)) / np.float32(rule.std)).astype(np.float32)[None]


if __name__ == "__main__":
    sys.exit(main())
