"""What is packaged: a model file, its contract, and what is known about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from mobiledeploy.contract import Contract, Preprocessing, Target, TensorSpec
from mobiledeploy.deploy.packages.golden import GoldenVector, make_golden
from mobiledeploy.deploy.packages.names import choose_namespace
from mobiledeploy.deploy.packages.plan import PlannedFile
from mobiledeploy.deploy.packages.tasks import find_task
from mobiledeploy.deploy.packages.tasks.task import PackagedTask
from mobiledeploy.device_tests.scoring import described
from mobiledeploy.errors import InputError, UnsupportedError
from mobiledeploy.preprocessing import check, image_size
from mobiledeploy.presets import PRESETS, preset
from mobiledeploy.runtimes.census import Artifact
from mobiledeploy.runtimes.formats import FORMATS, open_session, read_artifact


@dataclass(frozen=True, slots=True)
class Subject:
    """A model that a package is made of.

    Attributes:
        target: format of the model file.
        contract: with tensors as the file has them, one input, and a preprocessing.
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
    def outputs(self) -> tuple[TensorSpec, ...]:
        """In the file's order."""
        return self.contract.outputs

    @property
    def output(self) -> TensorSpec:
        """The only one, or the first."""
        return self.contract.outputs[0]

    @property
    def task(self) -> PackagedTask:
        """What the model is for."""
        return find_task(self.contract.task, self.name)

    @property
    def classes(self) -> int:
        """How many there are, or of whatever the task counts."""
        return self.task.count(self.contract)

    @property
    def amount(self) -> str:
        """``classes`` in words."""
        return self.task.amount(self.contract)

    @property
    def labels(self) -> tuple[str, ...]:
        """One per class; where the file has none, the classes' numbers; none of a task without classes."""
        return self.task.labels(self.contract)


def make_subject(
    file: Path,
    *,
    name: str | None,
    namespace: str | None,
    targets: tuple[Target, ...],
    platform: str,
    preprocessing: str | None = None,
    measured: Callable[[str], Mapping[str, list[dict[str, Any]]]] = lambda _sha256: {},
) -> Subject:
    """Read a model file, and run it on the golden images.

    Args:
        file: a model in one of the platform's formats.
        name: of the class, checked before; None: that of the task.
        namespace: of the generated code; None: made of the name.
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
    name = name or find_task(contract.task, str(file)).class_name
    namespace = choose_namespace(namespace, name)
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
        golden=make_golden(session, contract),
        engine=session.engine,
        measured=measured(artifact.sha256),
    )


def _contract(artifact: Artifact, given: str | None) -> Contract:
    """The file's own contract with the tensors that it really has, or one made of a preset."""
    where, contents, own = str(artifact.path), artifact.contents, artifact.contract
    task = own.task if own else "image-classification"
    kind = find_task(task, where)
    if len(contents.inputs) != 1:
        raise UnsupportedError(
            f"the file has {len(contents.inputs)} inputs",
            where=where,
            hint="A package needs a model with one image in",
        )
    (source,) = described(contents.inputs, own.inputs if own else ())
    results = tuple(described(contents.outputs, own.outputs if own else ()))
    rule = own.preprocessing if own and own.preprocessing else _preset(given, source, where)
    check(rule)
    labels = own.labels if own else contents.labels
    contract = own or Contract((source,), results, task)
    contract = replace(contract, inputs=(source,), outputs=results, preprocessing=rule, labels=labels)
    _check_shapes(contract, where)
    kind.check(contract, where)
    return contract


def _preset(given: str | None, source: TensorSpec, where: str) -> Preprocessing:
    if given is None:
        raise InputError(
            "the file does not say how images are prepared for it",
            where=where,
            hint=f"Pass --preprocessing with what it was trained with: {', '.join(PRESETS)}",
        )
    return preset(given, *image_size(source))


def _check_shapes(contract: Contract, where: str) -> None:
    source = contract.inputs[0]
    sides = [side for spec in (source, *contract.outputs) for side in spec.shape]
    if min(sides) < 1 or source.shape[0] != 1:
        given = " and ".join(str(list(output.shape)) for output in contract.outputs)
        raise UnsupportedError(
            f"the file takes {list(source.shape)} and gives {given}",
            where=where,
            hint="A package needs fixed shapes, and one image at a time",
        )


def _model(artifact: Artifact) -> tuple[PlannedFile, ...]:
    name, path = PurePosixPath(f"model{FORMATS[artifact.target].suffix}"), artifact.path
    if not path.is_dir():
        return (PlannedFile(name, path.read_bytes()),)
    files = sorted(item for item in path.rglob("*") if item.is_file())
    return tuple(PlannedFile(name / item.relative_to(path).as_posix(), item.read_bytes()) for item in files)
