"""What an evaluation found, and how two compare."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from mobiledeploy.contract import Preprocessing
from mobiledeploy.device_tests.accuracy_run import AccuracyRun, Prediction, paired
from mobiledeploy.errors import InputError
from mobiledeploy.preprocessing import identity

RULE = Preprocessing(8, 8, resize_to=8, mean=(0.0,) * 3, std=(1.0,) * 3)


def run_of(*classes: tuple[int, ...], file: str = "model.tflite", tied: bool = False) -> AccuracyRun:
    """One image per tuple of predicted classes; the n-th image has label n."""
    predictions = tuple(
        Prediction(f"{label}.png", label, best, tied and label == 0) for label, best in enumerate(classes)
    )
    return AccuracyRun(file, "ab" * 32, "LiteRT 2.3.0", RULE, 0, 10, 2.0, 2, predictions)


RUN = run_of((0, 5, 6, 7, 8), (9, 8, 7, 6, 1), (9, 8, 7, 6, 5), (3, 0, 1, 2, 4), tied=True)


def test_figures() -> None:
    assert (RUN.images, RUN.tied, RUN.images_per_second) == (4, 1, 2.0)
    assert (RUN.top1.correct, RUN.top1.share) == (2, 0.5)
    assert (RUN.top5.correct, RUN.top5.share) == (3, 0.75)
    assert RUN.top1.interval.low == pytest.approx(0.15, abs=0.001)
    assert RUN.top1.interval.high == pytest.approx(0.85, abs=0.001)


def test_json_holds_what_was_seen_and_what_follows() -> None:
    data = json.loads(RUN.to_json())
    assert data["schema_version"] == 1
    assert data["images"] == 4
    assert data["top1"]["correct"] == 2
    assert data["top5"]["interval"]["high"] == RUN.top5.interval.high
    assert data["predictions"][1] == {
        "image": "1.png",
        "label": 1,
        "classes": [9, 8, 7, 6, 1],
        "tied": False,
    }
    assert data["preprocessing_id"] == identity(RULE)
    assert data["engine"] == "LiteRT 2.3.0"
    assert RUN.to_json() == replace(RUN).to_json()


def test_paired_counts_image_by_image() -> None:
    first = run_of((0,), (0,), (2,), (0,), (1,))
    second = run_of((0,), (1,), (2,), (3,), (2,))
    difference = paired(first, second)
    assert (difference.gained, difference.lost) == (2, 0)
    assert difference.points == 40.0
    assert difference.agreement == 0.4
    assert difference.p_value == 0.5
    assert difference.interval.low < 0 < 40 < difference.interval.high < 100
    assert paired(second, first).points == -40.0


def test_paired_with_itself_is_no_difference() -> None:
    difference = paired(RUN, RUN)
    assert (difference.points, difference.p_value, difference.agreement) == (0.0, 1.0, 1.0)
    assert difference.interval.low == -difference.interval.high


def test_paired_does_not_depend_on_the_order_of_images() -> None:
    assert paired(RUN, replace(RUN, predictions=RUN.predictions[::-1])) == paired(RUN, RUN)


def test_paired_json() -> None:
    data = paired(RUN, RUN).to_dict()
    assert data["schema_version"] == 1
    assert json.loads(json.dumps(data))["interval"]["high"] > 0


def test_different_images_or_labels_are_not_compared() -> None:
    relabelled = tuple(replace(item, label=item.label % 3) for item in RUN.predictions)
    for other in (relabelled, RUN.predictions[:-1]):
        with pytest.raises(InputError, match=r"a\.onnx and model\.tflite.*different images.*3\.png"):
            paired(replace(RUN, file="a.onnx", predictions=other), RUN)
