"""What is packaged: a model file, its contract, and what is known about it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from mobiledeploy.contract import Contract, Preprocessing, Target, TensorSpec
from mobiledeploy.deploy.packages.golden import GoldenVector, make_golden
from mobiledeploy.deploy.packages.plan import PlannedFile
from mobiledeploy.device_tests.scoring import described
from mobiledeploy.errors import InputError, UnsupportedError
from mobiledeploy.preprocessing import check, image_size
from mobiledeploy.presets import PRESETS, preset
from mobiledeploy.runtimes.census import Artifact
from mobiledeploy.runtimes.formats import FORMATS, open_session, read_artifact


@dataclass(frozen=True, slots=True)
class Subject:
    """A classifier that a package is made of.

    Attributes:
        target: format of the model file.
        contract: with tensors as the file has them, one input, one output, and a preprocessing.
        rule: the contract's preprocessing.
        sha256: of the model file, as ``mobiledeploy inspect`` says it.
        size: bytes.
        arithmetic: what the file computes in, as ``inspect`` says it.
        model: the file as ``model.tflite`` or ``model.onnx``; the files of a Core ML package below
            ``model.mlpackage``.
        name: of the class that an app calls.
        namespace: dotted, of the generated code.
        golden: images with the inputs and outputs that belong to them.
        engine: what computed the golden outputs.
        measured: accuracy and latency, see ``measured.find_measured``.
    """

    target: Target
    contract: Contract
    rule: Preprocessing
    sha256: str
    size: int
    arithmetic: str
    model: tuple[PlannedFile, ...]
    name: str
    namespace: str
    golden: tuple[GoldenVector, ...]
    engine: str
    measured: Mapping[str, list[dict[str, Any]]]

    @property
    def model_name(self) -> str:
        """``model.tflite``, ``model.onnx`` or ``model.mlpackage``."""
        return f"model{FORMATS[self.target].suffix}"

    @property
    def input(self) -> TensorSpec:
        """The image."""
        return self.contract.inputs[0]

    @property
    def output(self) -> TensorSpec:
        """The scores."""
        return self.contract.outputs[0]

    @property
    def classes(self) -> int:
        """How many scores there are."""
        return math.prod(self.output.shape[1:])

    @property
    def labels(self) -> tuple[str, ...]:
        """One per class; where the file has none, the classes' numbers."""
        return self.contract.labels or tuple(str(index) for index in range(self.classes))


def make_subject(
    file: Path,
    *,
    name: str,
    namespace: str,
    targets: tuple[Target, ...],
    platform: str,
    preprocessing: str | None = None,
    measured: Callable[[str], Mapping[str, list[dict[str, Any]]]] = lambda _sha256: {},
) -> Subject:
    """Read a model file, and run it on the golden images.

    Args:
        file: a classifier in one of the platform's formats.
        name, namespace: of the generated code, checked before.
        targets: formats that the platform takes.
        platform: its name, for messages.
        preprocessing: name of a preset, for a file that does not carry its own.
        measured: of a sha256.

    Raises:
        InputError: the file is missing or damaged, or does not say how images are prepared for it.
        UnsupportedError: a format or a task that the platform's package cannot express.
        EnvironmentProblem: what runs the file is not installed.
    """
    artifact = read_artifact(file)
    if artifact.target not in targets:
        raise UnsupportedError(
            f"a package for {platform} cannot hold a file in the format {artifact.target}",
            where=str(file),
            hint=f"Convert the model with --target {' or '.join(targets)}",
        )
    contract = _contract(artifact, preprocessing)
    rule = contract.preprocessing
    if rule is None:
        raise InputError("the file has no preprocessing", where=str(file))
    session = open_session(file, threads=1)
    return Subject(
        target=artifact.target,
        contract=contract,
        rule=rule,
        sha256=artifact.sha256,
        size=artifact.size,
        arithmetic=artifact.census.arithmetic,
        model=_model(artifact),
        name=name,
        namespace=namespace,
        golden=make_golden(session, rule, contract.inputs[0]),
        engine=session.engine,
        measured=measured(artifact.sha256),
    )


def _contract(artifact: Artifact, given: str | None) -> Contract:
    """The file's own contract with the tensors that it really has, or one made of a preset."""
    where, contents, own = str(artifact.path), artifact.contents, artifact.contract
    task = own.task if own else "image-classification"
    if task != "image-classification":
        raise UnsupportedError(
            f"packages are for image classification, and this model's task is {task}",
            where=where,
            hint="Use the file itself; its contract says what goes in and comes out",
        )
    if len(contents.inputs) != 1 or len(contents.outputs) != 1:
        raise UnsupportedError(
            f"the file has {len(contents.inputs)} inputs and {len(contents.outputs)} outputs",
            where=where,
            hint="A package needs a classifier with one image in and one vector of scores out",
        )
    (source,) = described(contents.inputs, own.inputs if own else ())
    (result,) = described(contents.outputs, own.outputs if own else ())
    rule = own.preprocessing if own and own.preprocessing else _preset(given, source, where)
    check(rule)
    labels = own.labels if own else contents.labels
    contract = own or Contract((source,), (result,), task)
    contract = replace(contract, inputs=(source,), outputs=(result,), preprocessing=rule, labels=labels)
    _check_scores(contract, where)
    return contract


def _preset(given: str | None, source: TensorSpec, where: str) -> Preprocessing:
    if given is None:
        raise InputError(
            "the file does not say how images are prepared for it",
            where=where,
            hint=f"Pass --preprocessing with what it was trained with: {', '.join(PRESETS)}",
        )
    return preset(given, *image_size(source))


def _check_scores(contract: Contract, where: str) -> None:
    source, result = contract.inputs[0], contract.outputs[0]
    classes = math.prod(result.shape[1:])
    if min(*source.shape, *result.shape) < 1 or source.shape[0] != 1 or classes != max(result.shape):
        raise UnsupportedError(
            f"the file takes {list(source.shape)} and gives {list(result.shape)}",
            where=where,
            hint="A package needs fixed shapes: one image in, one vector of scores out",
        )
    if classes < 2:
        raise UnsupportedError(
            "the file gives a single score",
            where=where,
            hint="A package needs a score for each class, two or more",
        )
    if contract.labels and len(contract.labels) != classes:
        raise InputError(
            f"the file has {len(contract.labels)} labels for {classes} scores",
            where=where,
            hint="Convert it again with one label per class",
        )
    for number, label in enumerate(contract.labels):
        if not label.isprintable():
            raise InputError(
                f"label {number} holds a line break or another control character ({label!r})",
                where=where,
                hint="Convert it again with labels of one line each",
            )


def _model(artifact: Artifact) -> tuple[PlannedFile, ...]:
    name, path = PurePosixPath(f"model{FORMATS[artifact.target].suffix}"), artifact.path
    if not path.is_dir():
        return (PlannedFile(name, path.read_bytes()),)
    files = sorted(item for item in path.rglob("*") if item.is_file())
    return tuple(PlannedFile(name / item.relative_to(path).as_posix(), item.read_bytes()) for item in files)
