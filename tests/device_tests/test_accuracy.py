"""Evaluation of files on labelled images."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mobiledeploy.contract import Contract, Preprocessing, TensorSpec
from mobiledeploy.device_tests.accuracy import AccuracyRun, evaluate_sessions, paired
from mobiledeploy.errors import InputError
from mobiledeploy.images import LabelledImage
from mobiledeploy.runtimes.census import Artifact, FileContents
from mobiledeploy.runtimes.formats import open_session, read_artifact
from mobiledeploy.truth.classes import list_images

RULE = Preprocessing(8, 8, resize_to=8, mean=(0.0,) * 3, std=(255.0,) * 3)
SOURCE = TensorSpec("image", (1, 8, 8, 3), "float32", "NHWC", "image")
SCORES = TensorSpec("scores", (1, 3), "float32", content="logits")


class ColourSession:
    """Scores red, green and blue by how much of each is in the image."""

    engine = "colours 1.0"

    def __init__(self, source: TensorSpec = SOURCE, outputs: Sequence[TensorSpec] = (SCORES,)) -> None:
        self.inputs, self.outputs = (source,), tuple(outputs)
        self.busy = threading.Lock()

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        if not self.busy.acquire(blocking=False):
            raise RuntimeError("two threads share one session")
        try:
            (batch,) = inputs
            # The redder, the slower, so that workers end out of order.
            time.sleep(float(batch[..., 0].mean()) * 0.005)
            means = batch.mean((0, 1, 2), dtype=np.float32)
            size = self.outputs[0].shape[1]
            return [np.concatenate([np.zeros(size - 3, np.float32), means])[np.newaxis]]
        finally:
            self.busy.release()


def artifact(contract: Contract | None = Contract((SOURCE,), (SCORES,), preprocessing=RULE)) -> Artifact:
    contents = FileContents((SOURCE,), (SCORES,), (), 0, 0, contract)
    return Artifact(Path("colours.tflite"), "tflite", "cd" * 32, 7, contents)


@pytest.fixture
def images(tmp_path: Path) -> tuple[LabelledImage[int], ...]:
    """Thirty images of one colour each, the last two under a wrong label."""
    for number in range(30):
        label = number % 3 if number < 28 else (number + 1) % 3
        folder = tmp_path / str(label)
        folder.mkdir(exist_ok=True)
        colour = [40, 40, 40]
        colour[number % 3] = 200 + number
        Image.new("RGB", (9, 12), tuple(colour)).save(folder / f"{number:02}.png")
    return list_images(tmp_path)


def test_accuracy_in_the_order_of_the_images(images: tuple[LabelledImage[int], ...]) -> None:
    seen: list[tuple[int, int]] = []
    run = evaluate_sessions(
        artifact(), ColourSession, images, workers=4, progress=lambda done, total: seen.append((done, total))
    )
    assert (run.top1.correct, run.images, run.tied) == (28, 30, 0)
    assert [item.image for item in run.predictions] == [image.name for image in images]
    assert [item.label for item in run.predictions] == [image.label for image in images]
    assert seen == [(done, 30) for done in range(1, 31)]
    assert (run.file, run.sha256, run.engine) == ("colours.tflite", "cd" * 32, "colours 1.0")
    assert (run.preprocessing, run.classes, run.workers, run.label_offset) == (RULE, 3, 4, 0)
    assert run.images_per_second > 0


def test_workers_do_not_change_the_result(images: tuple[LabelledImage[int], ...]) -> None:
    one, many = (evaluate_sessions(artifact(), ColourSession, images, workers=count) for count in (1, 7))
    assert one.predictions == many.predictions
    assert paired(one, many).agreement == 1.0


def test_few_images_open_few_sessions(images: tuple[LabelledImage[int], ...]) -> None:
    opened: list[ColourSession] = []

    def opener() -> ColourSession:
        opened.append(ColourSession())
        return opened[-1]

    assert evaluate_sessions(artifact(), opener, images[:2], workers=8).workers == len(opened) == 2


def test_an_interrupt_drops_the_rest(images: tuple[LabelledImage[int], ...]) -> None:
    started = 0

    class Counting(ColourSession):
        def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
            nonlocal started
            started += 1
            return super().run(inputs)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate_sessions(artifact(), Counting, images, workers=2, progress=stop)
    assert started <= 6


def test_work_in_flight_is_bounded(images: tuple[LabelledImage[int], ...]) -> None:
    class Watched(tuple[LabelledImage[int], ...]):
        taken = 0

        def __iter__(self) -> Iterator[LabelledImage]:
            self.taken = 0
            for image in super().__iter__():
                self.taken += 1
                yield image

    watched, leads = Watched(images), []
    evaluate_sessions(
        artifact(),
        ColourSession,
        watched,
        workers=2,
        progress=lambda done, total: leads.append(watched.taken - done),
    )
    assert 0 < max(leads) < 6


def test_ties_go_to_the_lower_class_and_are_counted(tmp_path: Path) -> None:
    for label in ("0", "1"):
        (tmp_path / label).mkdir()
        Image.new("RGB", (8, 8), (10, 90, 90)).save(tmp_path / label / "x.png")
    run = evaluate_sessions(artifact(), ColourSession, list_images(tmp_path))
    assert run.tied == 2
    assert [item.classes for item in run.predictions] == [(1, 2, 0), (1, 2, 0)]
    assert (run.top1.correct, run.top5.correct) == (1, 2)


def test_label_offset_leaves_the_background_out(images: tuple[LabelledImage[int], ...]) -> None:
    wide = replace(SCORES, shape=(1, 4))
    run = evaluate_sessions(artifact(), lambda: ColourSession(outputs=[wide]), images, label_offset=1)
    assert (run.top1.correct, run.classes, run.label_offset) == (28, 4, 1)
    assert run.predictions[0].classes == (0, 1, 2, -1)


@pytest.mark.parametrize(
    ("classes", "offset", "message"),
    [
        (1001, None, r"1001 classes, labels go to 2\. If class 0 is background pass --label-offset 1"),
        (3, 1, "3 classes from 0, labels go from 0 to 2 with label offset 1"),
        (3, -1, "3 classes from 0, labels go from 0 to 2 with label offset -1"),
        (2, None, "2 classes from 0, labels go from 0 to 2"),
    ],
)
def test_labels_that_do_not_fit_are_refused(
    images: tuple[LabelledImage[int], ...], classes: int, offset: int | None, message: str
) -> None:
    outputs = [replace(SCORES, shape=(1, classes))]
    with pytest.raises(InputError, match=rf"^colours\.tflite: the file has {message}"):
        evaluate_sessions(artifact(), lambda: ColourSession(outputs=outputs), images, label_offset=offset)


def test_labels_that_count_from_one_get_the_next_step(images: tuple[LabelledImage[int], ...]) -> None:
    from_one = [replace(image, label=image.label + 1) for image in images]
    with pytest.raises(
        InputError, match=r"labels go from 1 to 3\. If labels count from 1 pass --label-offset"
    ):
        evaluate_sessions(artifact(), ColourSession, from_one)
    assert evaluate_sessions(artifact(), ColourSession, from_one, label_offset=-1).top1.correct == 28


def test_a_thousand_and_one_classes_pass_once_the_offset_is_said(
    images: tuple[LabelledImage[int], ...],
) -> None:
    outputs = [replace(SCORES, shape=(1, 1001))]
    run = evaluate_sessions(artifact(), lambda: ColourSession(outputs=outputs), images, label_offset=0)
    assert run.label_offset == 0


def test_preprocessing_comes_from_the_file_else_from_the_caller(
    images: tuple[LabelledImage[int], ...],
) -> None:
    bare = artifact(contract=None)
    with pytest.raises(InputError, match=r"colours\.tflite.*--preprocessing.*imagenet, inception"):
        evaluate_sessions(bare, ColourSession, images)
    preset_run = evaluate_sessions(bare, ColourSession, images, preprocessing="unit")
    assert preset_run.preprocessing.std == (255.0,) * 3
    assert preset_run.preprocessing.resize_to == 9
    assert preset_run.top1.correct == 28
    swapped = replace(RULE, channels="BGR")
    assert evaluate_sessions(bare, ColourSession, images, preprocessing=swapped).top1.correct < 28
    known = evaluate_sessions(artifact(), ColourSession, images, preprocessing=swapped)
    assert (known.preprocessing, known.top1.correct) == (RULE, 28)


def test_layout_comes_from_the_contract_where_the_file_has_no_word(tmp_path: Path) -> None:
    (tmp_path / "0").mkdir()
    Image.new("RGB", (3, 3), (0, 9, 0)).save(tmp_path / "0" / "x.png")
    square = replace(SOURCE, shape=(1, 3, 3, 3), layout="")
    rule = replace(RULE, height=3, width=3, resize_to=3)
    known = artifact(Contract((replace(square, layout="NHWC"),), (SCORES,), preprocessing=rule))
    run = evaluate_sessions(known, lambda: ColourSession(square), list_images(tmp_path))
    assert run.predictions[0].classes[0] == 1
    with pytest.raises(InputError, match="3x3x3"):
        evaluate_sessions(
            artifact(None), lambda: ColourSession(square), list_images(tmp_path), preprocessing=rule
        )


def test_a_rule_of_another_size_is_said_once_without_naming_an_image(
    images: tuple[LabelledImage[int], ...],
) -> None:
    with pytest.raises(InputError, match=r"^colours\.tflite: input 'image': the input takes 1x8x8x3"):
        evaluate_sessions(artifact(None), ColourSession, images, preprocessing=replace(RULE, height=9))


@pytest.mark.parametrize("workers", [1, 3])
def test_a_damaged_image_is_named(images: tuple[LabelledImage[int], ...], workers: int) -> None:
    images[5].path.write_bytes(b"no image")
    images[9].path.unlink()
    with pytest.raises(InputError) as caught:
        evaluate_sessions(artifact(), ColourSession, images, workers=workers)
    assert str(caught.value).startswith(f"{images[5].path}: this is no image")
    assert str(caught.value).count(str(images[5].path)) == 1


def test_an_image_that_cannot_be_prepared_is_named(images: tuple[LabelledImage[int], ...]) -> None:
    Image.new("I;16", (8, 8)).save(images[3].path)
    with pytest.raises(InputError, match=rf"^{images[3].path}: the image has more than 8 bits"):
        evaluate_sessions(artifact(), ColourSession, images)


def test_nothing_to_evaluate() -> None:
    with pytest.raises(InputError, match="no images"):
        evaluate_sessions(artifact(), ColourSession, ())


def test_several_inputs_are_refused(images: tuple[LabelledImage[int], ...]) -> None:
    session = ColourSession()
    session.inputs = (SOURCE, SOURCE)  # type: ignore[assignment]
    with pytest.raises(InputError, match="2 inputs"):
        evaluate_sessions(artifact(), lambda: session, images)


def evaluate_file(path: Path, images: Sequence[LabelledImage[int]], **given: Any) -> AccuracyRun:
    return evaluate_sessions(read_artifact(path), lambda: open_session(path, threads=1), images, **given)


def colour_file(path: Path, contract: Contract | None) -> Path:
    """An ONNX file that averages each channel."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["image"], ["means"]),
            helper.make_node("Flatten", ["means"], ["scores"]),
        ],
        "colours",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if contract is not None:
        helper.set_model_props(model, {"mobiledeploy.contract": contract.to_json()})
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("carried", [True, False])
def test_a_real_file_through_its_engine(
    tmp_path: Path, images: tuple[LabelledImage[int], ...], carried: bool
) -> None:
    pytest.importorskip("onnxruntime")
    source = TensorSpec("image", (1, 3, 8, 8), "float32", "NCHW", "image")
    contract = Contract((source,), (SCORES,), preprocessing=RULE) if carried else None
    path = colour_file(tmp_path / "colours.onnx", contract)
    given: dict[str, Any] = {} if carried else {"preprocessing": "unit"}
    run = evaluate_file(path, images, **given)
    assert (run.top1.correct, run.images, run.file) == (28, 30, "colours.onnx")
    assert "ONNX" in run.engine
    assert len(run.sha256) == 64


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "top1"), [("mobilenet_v2_1.0_224_quant", 0.879), ("mobilenet_v1_0.25_128_quant", 0.454)]
)
def test_third_party_files_score_as_known(data_dir: Path, name: str, top1: float) -> None:
    pytest.importorskip("ai_edge_litert")
    folder = data_dir / "images" / "imagenet1k_sample_1000"
    images = list_images(folder, folder.with_suffix(".csv"))
    run = evaluate_file(data_dir / "tflite" / f"{name}.tflite", images, preprocessing="raw", label_offset=1)
    assert run.top1.share == pytest.approx(top1, abs=0.003)
