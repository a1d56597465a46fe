"""Files that decode their own boxes: the operation in every format, and against decoding the raw heads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mobiledeploy import models
from mobiledeploy.contract import TARGETS, AnchorGrid, Anchors, Contract, Suppression, Target
from mobiledeploy.deploy.conversion import convert_all
from mobiledeploy.deploy.decoded import disagreements
from mobiledeploy.deploy.packages.tasks.detection import Detection
from mobiledeploy.deploy.verification import run_file, verify
from mobiledeploy.detection import candidates_of, decode, strongest
from mobiledeploy.errors import InputError, UnsupportedError, VerificationError
from mobiledeploy.models.suppression import AnchorDecoding, Objects, non_max_suppression, objects_of
from mobiledeploy.runtimes.formats import open_session, read_artifact
from mobiledeploy.source import SourceModel

ANCHORS = Anchors((AnchorGrid(2, 2, ((0.4, 0.4), (0.3, 0.6), (0.7, 0.3))), AnchorGrid(2, 2, ((0.9, 0.9),))))
COUNT, CLASSES = 16, 7
RULE = Suppression(0.4, 0.5, 12)


class Mirror(nn.Module):
    """A detector whose raw outputs are its input, so that a test can say what it sees."""

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        flat = image.reshape(1, -1)
        coded, logits = flat[:, : COUNT * 4], flat[:, COUNT * 4 :]
        return {"boxes": coded.reshape(1, COUNT, 4), "classes": logits.reshape(1, COUNT, 1 + CLASSES)}


def seen(coded: np.ndarray, logits: np.ndarray) -> np.ndarray:
    return np.concatenate([coded.ravel(), logits.ravel()]).reshape(1, 3, 8, 8).astype(np.float32)


def random_heads(seed: int, wild: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.normal(size=(COUNT, 4)) * wild, random.normal(size=(COUNT, 1 + CLASSES)) * 2


def detector() -> SourceModel:
    image = torch.from_numpy(seen(*random_heads(0)))
    return SourceModel(Mirror().eval(), (image,), task="object-detection", anchors=ANCHORS)


class Operation(nn.Module):
    def forward(self, boxes: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        return non_max_suppression(boxes, scores, 0.3, 0.6, 5)


@pytest.mark.parametrize("own", [False, True], ids=["boxes of all classes", "boxes of each class"])
@pytest.mark.parametrize("target", TARGETS)
def test_the_operation(target: Target, own: bool, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    starts = random.uniform(0, 0.5, ((4 if own else 1), 30, 2))
    boxes = np.concatenate([starts, starts + random.uniform(0.2, 0.5, starts.shape)], -1).astype(np.float32)
    boxes[:, :3] = (0, 0.2, 0, 0.9)  # without an area
    example = (torch.from_numpy(boxes), torch.rand(4, 30))
    source = SourceModel(Operation().eval(), example)
    (made,) = convert_all(source, (target,), name="m", output=tmp_path, verify=False)
    session = open_session(made.artifact.path, threads=1)
    for _ in range(5):
        scores = random.uniform(0, 1, (4, 30)).astype(np.float32)
        (found,) = session.run([boxes, scores])
        wanted = Operation()(example[0], torch.from_numpy(scores)).numpy()
        np.testing.assert_array_equal(found, wanted)
        assert 4 <= (wanted > 0).sum() <= 20


@pytest.mark.parametrize("seed", range(20))
def test_decoding_in_the_graph_is_decoding_in_numpy(seed: int) -> None:
    coded, logits = random_heads(seed, wild=20 if seed % 2 else 1)
    rule = Suppression(0.6, 0.3, 30)
    step = Objects(AnchorDecoding(ANCHORS), rule)
    found = step(torch.from_numpy(coded)[None].float(), torch.from_numpy(logits)[None].float())
    wanted = decode(coded.astype(np.float32), logits, ANCHORS, threshold=0.6, overlap=0.3, largest=30)
    count = int(found["count"])
    assert count == len(wanted.scores) > 3
    np.testing.assert_allclose(found["boxes"][0, :count], wanted.boxes, atol=1e-5)
    np.testing.assert_allclose(found["scores"][0, :count], wanted.scores, atol=1e-6)
    assert found["classes"][0, :count].tolist() == wanted.classes.tolist()
    assert not any(found[name][0, count:].any() for name in ("boxes", "scores", "classes"))


def test_each_class_may_have_its_own_boxes() -> None:
    boxes = torch.rand(3, 10, 2).sort(dim=0).values.repeat(1, 1, 2)
    boxes = boxes + torch.tensor([0, 0, 0.4, 0.4])
    scores = torch.rand(3, 10)

    class Given(nn.Module):
        def forward(self) -> tuple[torch.Tensor, torch.Tensor]:
            return boxes, scores

    found = Objects(Given(), Suppression(0.2, 0.4, 8))()
    wanted = strongest(
        boxes.permute(1, 0, 2).numpy(), scores.t().numpy(), threshold=0.2, overlap=0.4, largest=8
    )
    count = int(found["count"])
    np.testing.assert_array_equal(found["boxes"][0, :count], wanted.boxes)
    assert found["classes"][0, :count].tolist() == wanted.classes.tolist()


@pytest.mark.parametrize(
    "target", ["tflite", *(pytest.param(name, marks=pytest.mark.slow) for name in ("onnx", "coreml"))]
)
def test_a_file_finds_what_its_raw_heads_say(target: Target, tmp_path: Path) -> None:
    (made,) = convert_all(detector(), (target,), name="m", output=tmp_path, suppression=RULE)
    assert made.verification is not None
    assert made.verification.passed
    contract = made.artifact.contract
    assert contract is not None
    assert (contract.suppression, contract.anchors) == (RULE, None)
    assert Contract.from_json(contract.to_json()) == contract
    said = [(spec.name, spec.content, spec.shape, spec.dtype) for spec in contract.outputs]
    assert said == [
        ("boxes", "boxes", (1, 12, 4), "float32"),
        ("scores", "scores", (1, 12), "float32"),
        ("classes", "classes", (1, 12), "int32"),
        ("count", "count", (1,), "int32"),
    ]
    session = open_session(made.artifact.path, threads=1)
    empty = np.full((COUNT, 1 + CLASSES), -9.0)
    for coded, logits in (random_heads(1), random_heads(2, wild=30), (np.zeros((COUNT, 4)), empty)):
        _, _, found = run_file(made.artifact, session, (seen(coded, logits),))
        wanted = decode(coded, logits, ANCHORS, threshold=0.4, overlap=0.5, largest=12)
        count = int(found["count"][0])
        assert count == len(wanted.scores)
        np.testing.assert_allclose(found["boxes"][0, :count], wanted.boxes, atol=1e-5)
        np.testing.assert_allclose(found["scores"][0, :count], wanted.scores, atol=1e-6)
        assert found["classes"][0, :count].tolist() == wanted.classes.tolist()


def objects(rule: Suppression = RULE) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """What is right, and the candidates."""
    coded, logits = random_heads(3)
    raw = {"boxes": coded[None], "classes": logits[None]}
    boxes, scores = candidates_of(Contract((), (), anchors=ANCHORS), raw)
    tensors = (torch.from_numpy(array)[None].float() for array in (coded, logits))
    found = Objects(AnchorDecoding(ANCHORS), rule)(*tensors)
    return {name: value.numpy().copy() for name, value in found.items()}, boxes, scores


def test_right_objects_are_no_disagreement() -> None:
    for rule in (RULE, Suppression(0.9, 0.5, 40), Suppression(0.01, 0.5, 3), Suppression(0.99, 0.5, 5)):
        found, boxes, scores = objects(rule)
        assert list(disagreements(found, boxes, scores, rule, 1e-4)) == []


def test_what_is_wrong_with_objects_is_named() -> None:
    found, boxes, scores = objects()

    def said(**changed: np.ndarray) -> str:
        return "; ".join(disagreements({**found, **changed}, boxes, scores, RULE, 1e-4))

    swapped = found["scores"].copy()
    swapped[0, [0, 1]] = swapped[0, [1, 0]]
    assert "order" in said(scores=swapped)
    moved = found["boxes"].copy()
    moved[0, 2] += 0.01
    assert "no box of class" in said(boxes=moved)
    other = found["classes"].copy()
    other[0, 0] = (other[0, 0] + 1) % CLASSES
    assert "is missing" in said(classes=other)
    other[0, 0] = CLASSES
    assert f"no class {CLASSES}" in said(classes=other)
    assert "not zeros" in said(count=found["count"] - 1)
    loose = Suppression(RULE.threshold, 0.99, 40)
    twice, boxes, scores = objects(loose)
    assert "overlaps a better one" in "; ".join(disagreements(twice, boxes, scores, RULE, 1e-4))


def test_a_file_that_finds_otherwise_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written with another overlap than it says."""
    full = Suppression(0.4, 0.3, 100)
    source, step = detector(), objects_of(detector(), Suppression(0.4, 0.99, 100))
    monkeypatch.setattr("mobiledeploy.models.suppression.objects_of", lambda *_: step)
    with pytest.raises(VerificationError, match="sample 0: the box of class"):
        convert_all(source, ("tflite",), name="m", output=tmp_path, suppression=full)
    assert (tmp_path / "m_nms.tflite.rejected").is_file()


def test_who_cannot_have_it() -> None:
    classifier = models.load("mobilenet_v1", weights="random", width=0.25, resolution=32)
    with pytest.raises(InputError, match="for detectors"):
        objects_of(classifier, RULE)
    for wrong in (
        Suppression(0.0),
        Suppression(1.0),
        Suppression(overlap=0.0),
        Suppression(overlap=1.0),
        Suppression(largest=0),
    ):
        with pytest.raises(InputError, match="no such rule"):
            objects_of(detector(), wrong)
    codes = {"precision": "int8", "calibration": "none", "output_dtype": "int8"}
    with pytest.raises(InputError, match="are reals"):
        convert_all(detector(), ("tflite",), name="m", suppression=RULE, **codes)  # type: ignore[arg-type]


def test_who_does_not_take_such_a_file(tmp_path: Path) -> None:
    source = detector()
    (made,) = convert_all(source, ("tflite",), name="m", output=tmp_path, suppression=RULE, verify=False)
    with pytest.raises(UnsupportedError, match="decodes its own boxes"):
        verify(made.artifact.path, source)
    contract = made.artifact.contract
    assert contract is not None
    with pytest.raises(UnsupportedError, match="decodes its own boxes"):
        Detection().check(contract, "m.tflite")
    with pytest.raises(InputError, match="no raw heads"):
        candidates_of(contract, {"boxes": np.zeros((1, 12, 4))})


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_real_detector_in_every_format(precision: str, tmp_path: Path) -> None:
    from mobiledeploy.quantize import Recipe

    source = models.load("ssdlite_mobilenet_v2", weights="random", width=0.35, resolution=64)
    options = {}
    if precision == "int8":
        options = {"precision": "int8", "calibration": "none", "recipe": Recipe(equalisation="off")}
    rule = Suppression(0.6, 0.5, 50)
    found = convert_all(source, TARGETS, name="m", output=tmp_path, suppression=rule, **options)  # type: ignore[arg-type]
    assert all(made.verification is not None and made.verification.passed for made in found)
    if precision == "int8":
        # Compared with raw heads just now; quantizing them once more takes a minute.
        return
    raw = convert_all(source, TARGETS, name="raw", output=tmp_path, verify=False)
    for made, heads in zip(found, raw, strict=True):
        ours, theirs = (open_session(each.artifact.path, threads=1) for each in (made, heads))
        sample = (source.example_input[0].numpy() * 2,)
        _, _, outputs = run_file(made.artifact, ours, sample)
        _, _, inside = run_file(heads.artifact, theirs, sample)
        contract = read_artifact(heads.artifact.path).contract
        assert contract is not None
        boxes, scores = candidates_of(contract, inside)
        wanted = strongest(boxes, scores, threshold=0.6, overlap=0.5, largest=50)
        count = int(outputs["count"][0])
        assert count == len(wanted.scores) > 0
        np.testing.assert_allclose(outputs["scores"][0, :count], wanted.scores, atol=1e-5)
        assert not any(disagreements(outputs, boxes, scores, rule, 1e-4))
