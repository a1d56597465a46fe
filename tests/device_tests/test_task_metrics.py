"""Every task's metric against an independent computation of it."""

from __future__ import annotations

import base64
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from example_runs import accuracy_run
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from sklearn.metrics import average_precision_score, roc_curve

from mobiledeploy.contract import Preprocessing, TensorSpec
from mobiledeploy.deploy.commands.evaluate import EvaluatedTask
from mobiledeploy.device_tests.accuracy_run import AccuracyRun, paired
from mobiledeploy.device_tests.metric_difference import compare
from mobiledeploy.device_tests.resampling import draw, percentile_interval, tail_probability
from mobiledeploy.device_tests.tasks import METRICS, find_metric, similarity
from mobiledeploy.device_tests.tasks.detection import BoxPrediction, FoundBox, TrueBox
from mobiledeploy.device_tests.tasks.embedding import VectorPrediction, _pairs
from mobiledeploy.device_tests.tasks.geolocation import EARTH_RADIUS, PlacePrediction, great_circle
from mobiledeploy.device_tests.tasks.metric import Asked, Given
from mobiledeploy.device_tests.tasks.tagging import TagPrediction
from mobiledeploy.errors import InputError, UnsupportedError
from mobiledeploy.images import LabelledImage
from mobiledeploy.truth import TRUTHS

RULE = Preprocessing(8, 8, resize_to=8)


def run_of(task: Any, predictions: Any, **more: Any) -> AccuracyRun:
    run = replace(accuracy_run(), task=task, predictions=tuple(predictions), device=None)
    return replace(run, **more)


def test_every_metric_has_a_reader_of_truth_and_a_word_on_the_command_line() -> None:
    assert list(METRICS) == list(TRUTHS) == list(get_args(EvaluatedTask))
    assert all(metric.task == task for task, metric in METRICS.items())
    with pytest.raises(UnsupportedError, match=r"no metric for the task other.*image-classification, multi"):
        find_metric("other")


def places(north: list[float]) -> list[PlacePrediction]:
    """Photos of one place that a model put so many kilometres north of it."""
    return [
        PlacePrediction(f"{place}.jpg", 0.0, 0.0, math.degrees(distance / EARTH_RADIUS), 0.0)
        for place, distance in enumerate(north)
    ]


@pytest.mark.parametrize("task", METRICS)
def test_a_draw_of_everything_once_is_the_figure_itself(task: Any) -> None:
    predictions: dict[str, Any] = {
        "image-classification": accuracy_run().predictions,
        "multi-label-classification": tags(7),
        "geolocation": places([1, 150, 250]),
        "embedding": vectors(),
        "object-detection": boxes(7),
    }
    run = run_of(task, predictions[task], far=0.1)
    resampling = run.metric.resampling(run.predictions, run.asked)
    once = resampling.headline(np.ones((2, resampling.units), int))
    assert once == pytest.approx([run.headline.value] * 2)
    assert 0 < run.headline.value < 1


# Attributes


def tags(seed: int, images: int = 60, attributes: int = 4) -> list[TagPrediction]:
    """Scores with ties, some attributes unknown."""
    random = np.random.default_rng(seed)
    scores = random.integers(-9, 9, (images, attributes)) / 4
    truths = random.random((images, attributes))
    return [
        TagPrediction(
            f"{place}.png",
            tuple(None if it < 0.1 else bool(it < 0.4) for it in truth),
            tuple(map(float, row)),
        )
        for place, (truth, row) in enumerate(zip(truths, scores, strict=True))
    ]


def known(predictions: list[TagPrediction], place: int) -> tuple[list[bool], list[float], list[int]]:
    rows = [
        (item.attributes[place], item.scores[place], index)
        for index, item in enumerate(predictions)
        if item.attributes[place] is not None
    ]
    return tuple(map(list, zip(*rows, strict=True)))  # type: ignore[return-value]


@pytest.mark.parametrize("seed", range(4))
def test_average_precision_is_that_of_scikit_learn(seed: int) -> None:
    predictions = tags(seed)
    run = run_of("multi-label-classification", predictions, names=("a", "b", "c", "d"))
    expected = [average_precision_score(*known(predictions, place)[:2]) for place in range(4)]
    details = run.to_dict()
    assert [row["ap"] for row in details["attributes"]] == pytest.approx(expected)
    assert [row["name"] for row in details["attributes"]] == ["a", "b", "c", "d"]
    assert run.headline.name == "mean AP"
    assert run.headline.value == pytest.approx(np.mean(expected))
    ends = run.headline.interval
    assert ends
    assert ends.low < run.headline.value < ends.high
    counts = np.random.default_rng(seed).multinomial(60, np.full(60, 1 / 60), 3)
    resampled = METRICS["multi-label-classification"].resampling(predictions, run.asked).headline(counts)
    for row, drawn in zip(resampled, counts, strict=True):
        each = []
        for place in range(4):
            truth, scores, indices = known(predictions, place)
            each.append(average_precision_score(truth, scores, sample_weight=drawn[indices]))
        assert row == pytest.approx(np.mean(each))


def test_an_attribute_that_holds_for_no_image_is_left_out_and_said() -> None:
    predictions = [replace(item, attributes=(False, *item.attributes[1:])) for item in tags(0)]
    details = run_of("multi-label-classification", predictions, names=("hat", "b", "c", "d")).to_dict()
    assert details["left_out"] == ["hat"]
    assert details["attributes"][0] == {"name": "hat", "ap": None}
    rest = [row["ap"] for row in details["attributes"][1:]]
    assert details["figures"][0]["value"] == pytest.approx(np.mean(rest))


# Places


@pytest.mark.parametrize(
    ("one", "other", "kilometres"),
    [
        ((0, 0), (0, 0), 0),
        ((90, 0), (0, 77), math.pi / 2 * EARTH_RADIUS),
        ((0, 0), (0, 180), math.pi * EARTH_RADIUS),
        ((12, 179.5), (12, -179.5), math.radians(1) * EARTH_RADIUS * math.cos(math.radians(12))),
        ((51.5007, -0.1246), (48.8584, 2.2945), 340.6),  # Big Ben to the Eiffel Tower
        ((40.6413, -73.7781), (51.47, -0.4543), 5540),  # JFK to Heathrow
    ],
)
def test_great_circle(one: Any, other: Any, kilometres: float) -> None:
    assert great_circle(one, other) == pytest.approx(kilometres, rel=1e-3, abs=1e-6)
    assert great_circle(other, one) == great_circle(one, other)


def test_shares_within_distances() -> None:
    north = [0.5, 20, 24, 100, 199, 201, 700, 2000, 2600, 9000]
    run = run_of("geolocation", places(north))
    assert [(figure.name, figure.value) for figure in run.figures] == [
        ("within 200 km", 0.5),
        ("within 1 km", 0.1),
        ("within 25 km", 0.3),
        ("within 750 km", 0.7),
        ("within 2500 km", 0.8),
    ]
    ends = run.headline.interval
    assert ends
    assert (ends.low, ends.high) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert run.to_dict()["median_km"] == pytest.approx(200)


# Embeddings


def vectors(identities: int = 12, each: int = 5, noise: float = 0.8, seed: int = 0) -> list[VectorPrediction]:
    random = np.random.default_rng(seed)
    centres = random.normal(size=(identities, 16))
    return [
        VectorPrediction(
            f"{who}/{number}.png",
            who,
            base64.b64encode(
                (centres[who] + noise * random.normal(size=16)).astype("<f4").tobytes()
            ).decode(),
        )
        for who in range(identities)
        for number in range(each)
    ]


def all_pairs(predictions: list[VectorPrediction]) -> tuple[np.ndarray, np.ndarray]:
    """Whether each pair is of one identity, and its similarity, one by one."""
    rows = [(item.identity, item.numbers().astype(float)) for item in predictions]
    truth, scores = [], []
    for place, (who, one) in enumerate(rows):
        for other_who, other in rows[place + 1 :]:
            truth.append(who == other_who)
            scores.append(one @ other / np.linalg.norm(one) / np.linalg.norm(other))
    return np.array(truth), np.array(scores)


@pytest.mark.parametrize("far", [0.01, 0.1, 0.5])
def test_true_accept_rate_is_that_of_the_roc_curve(far: float) -> None:
    predictions = vectors()
    truth, scores = all_pairs(predictions)
    false, true, _ = roc_curve(truth, scores, drop_intermediate=False)
    run = run_of("embedding", predictions, far=far)
    assert run.headline.name == f"TAR at FAR {far:g}"
    assert run.headline.value == pytest.approx(true[false <= far].max())
    assert run.figures[1].name == "equal-error rate"
    place = np.argmin(np.abs(1 - true - false))
    assert run.figures[1].value == pytest.approx((1 - true[place] + false[place]) / 2, abs=0.01)
    details = run.to_dict()
    assert (details["identities"], details["same_pairs"], details["different_pairs"]) == (12, 120, 1650)
    accepted = scores > details["threshold"] + 1e-6
    assert (accepted & ~truth).sum() <= far * 1650
    ends = run.headline.interval
    assert ends
    assert ends.low <= run.headline.value <= ends.high


def test_pairs_do_not_depend_on_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    predictions = vectors()
    stacked = np.stack([item.numbers() for item in predictions])
    identities = np.array([item.identity for item in predictions])
    whole = similarity.compare_all(stacked, identities, 1650)
    monkeypatch.setattr(similarity, "_AT_ONCE", 100)
    part = similarity.compare_all(stacked, identities, 40)
    np.testing.assert_allclose(part.same, whole.same, rtol=1e-5)
    np.testing.assert_allclose(part.nearest, whole.nearest[:40], rtol=1e-5)
    assert part.different == whole.different == 1650
    assert part.same_counts.sum() == len(part.same) == 120


def test_a_draw_of_identities_is_what_a_data_set_with_so_many_of_them_gives() -> None:
    predictions, far = vectors(identities=6), 0.05
    counts = np.array([[1] * 6, [2, 1, 0, 1, 1, 1], [0, 3, 0, 2, 1, 0]])
    found = METRICS["embedding"].resampling(predictions, Asked("embedding", far=far)).headline(counts)
    for row, drawn in zip(found, counts, strict=True):
        # Each copy is an identity of its own, and copies of one are not compared.
        copies = [
            (item.identity, copy, item.numbers().astype(float))
            for item in predictions
            for copy in range(drawn[item.identity])
        ]
        same, different = [], []
        for place, (who, copy, one) in enumerate(copies):
            for other_who, other_copy, other in copies[place + 1 :]:
                score = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
                if who != other_who:
                    different.append(score)
                elif copy == other_copy:
                    same.append(score)
        threshold = sorted(different, reverse=True)[int(far * len(different))]
        assert row == pytest.approx(np.mean([score > threshold + 1e-6 for score in same]))


def test_few_pairs_cannot_tell_a_low_rate() -> None:
    images = [LabelledImage(Path("x"), who, f"{who}/{n}") for who in range(4) for n in range(2)]
    output = TensorSpec("vector", (1, 16), "float32", content="features")
    judge = METRICS["embedding"].judge

    def given(far: float) -> Given:
        return Given([output], None, RULE, images, Asked("embedding", far=far))

    with pytest.raises(InputError, match=r"24 pairs of different identities cannot .* 0\.001.*--far 0\.1"):
        judge(given(1e-3))
    assert judge(given(0.1)).classes == 16
    with pytest.raises(InputError, match="the false-accept rate 1 is not between 0 and 1"):
        judge(given(1))


def test_a_vector_of_zeros_is_like_nothing() -> None:
    predictions = [replace(item, vector=base64.b64encode(bytes(64)).decode()) for item in vectors(3, 2)]
    pairs = _pairs(tuple(predictions), 0.5)
    assert not pairs.same.any()
    assert not pairs.nearest.any()
    assert run_of("embedding", predictions, far=0.5).headline.value == 0


# Boxes


def boxes(seed: int, images: int = 12) -> list[BoxPrediction]:
    """Objects of all sizes, found roughly, with doubles, inventions and crowds."""
    random = np.random.default_rng(seed)

    def corners(box: np.ndarray) -> tuple[float, float, float, float]:
        top, left, height, width = map(float, np.abs(box) + 0.1)
        return top, left, top + height, left + width

    predictions = []
    for place in range(images):
        there, found = [], []
        for _ in range(random.integers(0, 6)):
            box = np.array([*random.uniform(0, 300, 2), *random.choice([12, 50, 150], 2)])
            kind = int(random.integers(0, 4))
            crowd = bool(random.random() < 0.15)
            there.append(TrueBox(kind, *corners(box), crowd, float(box[2] * box[3] * 0.7)))
            for _ in range(random.integers(0, 3)):
                spread = random.normal(0, 0.06, 4) * box[[2, 3, 2, 3]]
                label = kind if random.random() < 0.9 else int(random.integers(0, 5))
                found.append(FoundBox(label, *corners(box + spread), round(float(random.random()), 2)))
        for _ in range(random.integers(0, 3)):
            stray = random.uniform(5, 300, 4)
            found.append(FoundBox(int(random.integers(0, 5)), *corners(stray), float(random.random())))
        predictions.append(BoxPrediction(f"{place}.jpg", tuple(there), tuple(found)))
    return predictions


def official(predictions: list[BoxPrediction], folder: Path) -> np.ndarray:
    """The twelve figures as pycocotools prints them, from its own files."""

    def row(box: Any, image: int) -> dict[str, Any]:
        bounds = [box.left, box.top, box.right - box.left, box.bottom - box.top]
        return {"image_id": image, "category_id": box.index + 1, "bbox": bounds}

    pairs = list(enumerate(predictions, 100))
    there = [
        {**row(box, image), "area": box.area, "iscrowd": int(box.crowd)}
        for image, item in pairs
        for box in item.objects
    ]
    found = [{**row(box, image), "score": box.score} for image, item in pairs for box in item.found]
    instances = {
        "info": {},
        "images": [{"id": image} for image, _ in pairs],
        "categories": [{"id": kind} for kind in range(1, 6)],
        "annotations": [{**item, "id": place} for place, item in enumerate(there, 1)],
    }
    (folder / "instances.json").write_text(json.dumps(instances))
    (folder / "results.json").write_text(json.dumps(found))
    truth = COCO(str(folder / "instances.json"))
    evaluation = COCOeval(truth, truth.loadRes(str(folder / "results.json")), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation.stats


@pytest.mark.parametrize("seed", range(3))
def test_the_figures_are_those_that_pycocotools_prints(
    seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predictions = boxes(seed)
    run = run_of("object-detection", predictions, names=("ant", "bee"))
    capsys.readouterr()
    assert [figure.value for figure in run.figures] == pytest.approx(official(predictions, tmp_path)[:6])
    assert [figure.name for figure in run.figures] == [
        "AP",
        "AP50",
        "AP75",
        "AP small",
        "AP medium",
        "AP large",
    ]
    assert 0.05 < run.headline.value < 0.95
    ends = run.headline.interval
    assert ends
    assert ends.low < run.headline.value < ends.high
    details = run.to_dict()
    each = [row["ap"] for row in details["by_class"]]
    assert np.mean(each) == pytest.approx(run.headline.value)
    assert details["by_class"][0]["name"] == "ant"


def test_the_evaluator_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_of("object-detection", boxes(5)).figures
    assert capfd.readouterr().out == ""


def test_a_draw_of_images_is_what_a_data_set_with_so_many_of_them_gives(tmp_path: Path) -> None:
    predictions = boxes(3)
    # Equal scores would be ranked by image, which copies do not keep.
    scores = iter(np.random.default_rng(0).permutation(1000) / 1000)
    predictions = [
        replace(item, found=tuple(replace(box, score=float(next(scores))) for box in item.found))
        for item in predictions
    ]
    headline = METRICS["object-detection"].resampling(predictions, Asked("object-detection")).headline
    counts = np.array([[1] * 12, [2, 0, 1, 3, 0, 1, 1, 0, 2, 1, 0, 1]])
    found = headline(counts)
    assert found[0] == pytest.approx(official(predictions, tmp_path)[0])
    copies = [item for item, count in zip(predictions, counts[1], strict=True) for _ in range(count)]
    # Between copies of one detection lies a threshold; the evaluator sees it, and precision there is higher.
    assert found[1] == pytest.approx(official(copies, tmp_path)[0], abs=0.02)


def test_nothing_found_is_no_precision() -> None:
    predictions = [replace(item, found=()) for item in boxes(1)]
    assert run_of("object-detection", predictions).headline.value == 0
    only_small = BoxPrediction("a", (TrueBox(0, 1, 1, 9, 9, False, 64.0),), (FoundBox(0, 1, 1, 9, 9, 0.9),))
    figures = run_of("object-detection", [only_small]).figures
    assert [item.name for item in figures] == ["AP", "AP50", "AP75", "AP small"]
    assert [item.value for item in figures] == pytest.approx([1.0] * 4)


def test_two_detectors_that_say_the_same() -> None:
    same = METRICS["object-detection"].same
    sure, moved = FoundBox(0, 0, 0, 10, 10, 0.9), FoundBox(0, 1, 0, 11, 10, 0.8)
    unsure, other = FoundBox(2, 0, 0, 5, 5, 0.2), FoundBox(1, 0, 0, 10, 10, 0.9)
    base = BoxPrediction("a", (), (sure, unsure))
    assert same(base, replace(base, found=(moved,)))
    assert not same(base, replace(base, found=(other,)))
    assert not same(base, replace(base, found=(sure, moved)))
    assert not same(base, replace(base, found=(replace(sure, top=6.0, bottom=16.0),)))
    assert not same(replace(base, found=(sure, sure)), base)


# Intervals and differences


def test_the_bootstrap_of_a_mean_is_near_the_normal_interval() -> None:
    values = np.random.default_rng(0).normal(3, 2, 400)
    found = draw(400, lambda counts: counts @ values / 400, 1000)
    interval = percentile_interval(found)
    half = 1.96 * values.std() / 20
    assert interval
    assert interval.low == pytest.approx(values.mean() - half, abs=0.03)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.03)
    np.testing.assert_array_equal(found, draw(400, lambda counts: counts @ values / 400, 1000))
    assert tail_probability(found) == pytest.approx(2 / 1001)
    assert tail_probability(found - values.mean()) > 0.5  # type: ignore[operator]
    nothing = draw(4, lambda counts: np.full(len(counts), np.nan), 10)
    assert (percentile_interval(nothing), tail_probability(nothing)) == (None, None)


def test_a_difference_on_the_same_images_is_narrower_than_two_intervals() -> None:
    exact = tags(0, images=200)
    random = np.random.default_rng(1)
    rough = [
        replace(item, scores=tuple(score + random.normal(0, 0.1) for score in item.scores)) for item in exact
    ]
    first, second = (run_of("multi-label-classification", item) for item in (exact, rough[::-1]))
    found = compare(first, second)
    assert found.points == pytest.approx(100 * (second.headline.value - first.headline.value))
    ends, alone = found.interval, first.headline.interval
    assert ends
    assert alone
    assert ends.low < found.points < ends.high
    assert ends.high - ends.low < 100 * (alone.high - alone.low)
    assert 0.5 < found.agreement < 1
    assert found.to_dict()["metric"] == "mean AP"
    equal = compare(first, first)
    assert (equal.points, equal.p_value, equal.agreement) == (0, 1, 1)


def test_classifiers_are_compared_as_before() -> None:
    run = accuracy_run()
    assert compare(run, run) == paired(run, run)


def test_what_cannot_be_compared() -> None:
    run = run_of("multi-label-classification", tags(0))
    with pytest.raises(InputError, match="of different tasks, image-classification and multi-label"):
        compare(accuracy_run(), run)
    with pytest.raises(InputError, match=r"of different images or labels, as for 0\.png"):
        compare(run, replace(run, predictions=run.predictions[1:]))
    for top in (lambda: run.top1, lambda: run.tied, lambda: paired(run, run)):
        with pytest.raises(InputError, match=r"has no top-1\. Its figures are mean AP"):
            top()
