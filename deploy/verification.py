"""Does a file compute what its source computes, and is it what its contract says?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mobiledeploy.contract import Contract, Precision, TensorSpec
from mobiledeploy.deploy.comparison import TOLERANCE, VerificationReport, compare_output
from mobiledeploy.deploy.golden import write_golden
from mobiledeploy.deploy.proposals import MOST_OTHERS, PROPOSALS, Outputs, paired
from mobiledeploy.deploy.samples import Reference, Sample, take_reference
from mobiledeploy.deploy.sources import as_source
from mobiledeploy.deploy.stages import Stages
from mobiledeploy.errors import InputError, UnsupportedError
from mobiledeploy.runtimes.census import Artifact, FileContents
from mobiledeploy.runtimes.formats import needs, open_session, read_artifact
from mobiledeploy.source import SourceModel

if TYPE_CHECKING:
    import numpy as np
    import torch

    from mobiledeploy.runtimes.session import Session

# Weights of these dtypes mean quantized arithmetic.
QUANTIZED = frozenset({"int4", "int8", "uint8", "int16"})


def verify(
    file: str | Path,
    against: torch.nn.Module | str | SourceModel,
    *,
    images: Sequence[str | Path] = (),
    weights: str | Path | None = None,
    width: float | None = None,
    resolution: int | None = None,
    golden: str | Path | None = None,
    stages: Stages | None = None,
) -> VerificationReport:
    """Run a file on this host and compare it with its source in PyTorch.

    Args:
        file: TFLite, ONNX or Core ML.
        against: what it was made from; a module takes inputs as the file's contract shows them.
        images: real images to compare on, beside the seeded inputs.
        weights, width, resolution: for a reference, as for ``convert``.
        golden: ``.npz`` file to write the samples and outputs to.
        stages: stages to time and announce.

    Returns:
        The report; whether it passed is for the caller to act on.

    Raises:
        InputError: the file or the source cannot be read, or they have different inputs.
        UnsupportedError: the file is quantized, or decodes its own boxes.
        EnvironmentProblem: a package is missing.
        OutputError: ``golden`` cannot be written.
    """
    with needs("torch"):
        import torch
    stages = stages or Stages()
    with stages.stage("read", Path(file).name):
        artifact = read_artifact(Path(file))
    if artifact.contract is not None and artifact.contract.suppression is not None:
        raise UnsupportedError(
            "the file decodes its own boxes, which the least difference puts in another order",
            where=str(file),
            hint="Verify the same model with raw heads, converted without --nms",
        )
    with stages.stage("load"):
        source = as_source(
            against,
            weights=weights,
            width=width,
            resolution=resolution,
            example_input=_example_for(artifact) if isinstance(against, torch.nn.Module) else None,
        )
        if _takes_pixels(artifact.contents) and source.preprocessing is not None:
            from mobiledeploy.converters.raw_pixels import raw_pixels

            source = raw_pixels(source)
    with stages.stage("verify"):
        session = open_session(artifact.path)
        reference = take_reference(source, [Path(image) for image in images])
        return compare(artifact, session, reference, golden=golden)


def compare(
    artifact: Artifact,
    session: Session,
    reference: Reference,
    *,
    expected: Contract | None = None,
    golden: str | Path | None = None,
) -> VerificationReport:
    """Compare an open file with a source that takes inputs of the same kind.

    Args:
        artifact: what was read from the file.
        session: the file, open.
        reference: what its source computes.
        expected: contract that the file should carry; None: whatever it carries.
        golden: ``.npz`` file to write the samples and outputs to.

    Raises:
        InputError: the inputs of file and source differ in number or shape.
        UnsupportedError: the file is quantized.
        OutputError: ``golden`` cannot be written.
    """
    precision: Precision = "int8" if reference.tolerances else _precision(artifact)
    outputs = _ordered(session.outputs, artifact.contract.outputs if artifact.contract else ())
    stored: list[tuple[list[np.ndarray], list[np.ndarray]]] = []
    found: list[list[np.ndarray]] = []
    for sample in reference.samples:
        arrays, results, reals = run_file(artifact, session, sample)
        stored.append((arrays, results))
        found.append(list(reals.values()))
    problems = [*contract_problems(artifact, expected)]
    if len(found[0]) != len(reference.outputs[0]):
        problems.append(f"the file has {len(found[0])} outputs, its source {len(reference.outputs[0])}")
    actual: Outputs = found
    wanted: Outputs = reference.outputs
    names = [spec.name for _, spec in outputs]
    if PROPOSALS in names and not problems:
        actual, wanted, others = paired(actual, wanted, names.index(PROPOSALS))
        # Coarse arithmetic finds others by design.
        if others > MOST_OTHERS and not reference.tolerances:
            problems.append(f"{100 * others:.0f}% of the proposals are not those of its source")
    comparisons = []
    allowed = reference.tolerances or (None,) * len(outputs)
    for (_, spec), ours, theirs, tolerance in zip(
        outputs, zip(*actual, strict=True), zip(*wanted, strict=True), allowed, strict=False
    ):
        if ours[0].shape != theirs[0].shape:
            shapes = f"{_by(ours[0].shape)}, its source {_by(theirs[0].shape)}"
            problems.append(f"output {spec.name} has shape {shapes}")
        else:
            share = TOLERANCE.get(precision, 0.0)
            comparisons.append(compare_output(spec.name, ours, theirs, share, tolerance))
    if golden is not None:
        write_golden(Path(golden), session, stored)
    return VerificationReport(
        artifact.path,
        artifact.sha256,
        session.engine,
        precision,
        len(reference.samples) - reference.images,
        reference.images,
        tuple(comparisons),
        tuple(problems),
    )


def run_file(
    artifact: Artifact, session: Session, sample: Sample
) -> tuple[list[np.ndarray], list[np.ndarray], dict[str, np.ndarray]]:
    """Run an open file on a sample of its source.

    Returns:
        Inputs and outputs as the file has them; outputs by name as the source has them, in its order.

    Raises:
        InputError: the inputs of file and source differ in number or shape.
    """
    contract = artifact.contract
    inputs = _ordered(session.inputs, contract.inputs if contract else ())
    outputs = _ordered(session.outputs, contract.outputs if contract else ())
    arrays = _to_file(sample, inputs, len(session.inputs), artifact.path)
    results = session.run(arrays)
    return arrays, results, {spec.name: _from_file(results[index], spec) for index, spec in outputs}


def _precision(artifact: Artifact) -> Precision:
    """From the file's operations; refuses arithmetic that no float tolerance fits."""
    ops = artifact.contents.ops
    quantized = any(op.mult_adds and op.weights in QUANTIZED for op in ops)
    if quantized or any(
        spec.scale is not None for spec in artifact.contents.inputs + artifact.contents.outputs
    ):
        raise UnsupportedError(
            "the file is quantized, and its difference from a float model has no fixed tolerance",
            where=str(artifact.path),
            hint="Compare predictions with `mobiledeploy evaluate FILE --images DIR --against FLOAT_FILE`",
        )
    dtypes = {dtype for op in ops for dtype in (op.weights, *op.inputs, *op.outputs)}
    return "fp16" if "float16" in dtypes else "fp32"


def _takes_pixels(contents: FileContents) -> bool:
    return any(spec.dtype == "uint8" and spec.scale is None for spec in contents.inputs)


def _example_for(artifact: Artifact) -> tuple[torch.Tensor, ...]:
    """Zeros as a module takes them that has no example input of its own."""
    import torch

    specs = artifact.contract.inputs if artifact.contract else artifact.contents.inputs
    return tuple(
        torch.zeros(_channels_first(spec.shape, spec), dtype=getattr(torch, spec.dtype)) for spec in specs
    )


def _channels_first(shape: tuple[int, ...], spec: TensorSpec) -> tuple[int, ...]:
    if spec.layout == "NHWC" and len(shape) == 4:
        return (shape[0], shape[3], shape[1], shape[2])
    return shape


def _ordered(specs: tuple[TensorSpec, ...], contract: tuple[TensorSpec, ...]) -> list[tuple[int, TensorSpec]]:
    """(position in the file, tensor) in the source's order, which the contract keeps."""
    names = {spec.name: index for index, spec in enumerate(specs)}
    if {spec.name for spec in contract} != set(names):
        return list(enumerate(specs))
    return [(names[spec.name], _in_layout(specs[names[spec.name]], spec)) for spec in contract]


def _in_layout(own: TensorSpec, said: TensorSpec) -> TensorSpec:
    """The file's tensor in the layout that the contract gives it.

    A file has no word for layouts, so its own is a guess; it counts only where the file's engine takes
    the axes in another order than the contract has them, as Core ML takes pictures.
    """
    return replace(own, layout=said.layout) if own.shape == said.shape else own


def _to_file(
    sample: Sample, inputs: list[tuple[int, TensorSpec]], count: int, path: Path
) -> list[np.ndarray]:
    """Arrays in the file's order, layout and dtype."""
    import numpy as np

    if len(sample) != count:
        raise InputError(
            f"the file has {count} inputs, its source {len(sample)}",
            where=str(path),
            hint="Compare it with the model it was made from",
        )
    arrays = [np.empty(0)] * count
    for array, (index, spec) in zip(sample, inputs, strict=True):
        if spec.layout == "NHWC" and array.ndim == 4:
            array = array.transpose(0, 2, 3, 1)
        if spec.scale is not None and array.dtype.kind == "f":
            array = _codes(array, spec)
        if array.shape != spec.shape or array.dtype.kind != np.dtype(spec.dtype).kind:
            raise InputError(
                f"input {spec.name} is {spec.dtype} {_by(spec.shape)}, "
                f"its source's is {array.dtype} {_by(array.shape)}",
                where=str(path),
                hint="Compare it with the model it was made from, in the same width and resolution",
            )
        arrays[index] = np.ascontiguousarray(array, spec.dtype)
    return arrays


def _codes(array: np.ndarray, spec: TensorSpec) -> np.ndarray:
    """Reals as the integers that a quantized tensor stores."""
    import numpy as np

    limits = np.iinfo(spec.dtype)
    codes = np.rint(array / np.float32(spec.scale or 1)) + (spec.zero_point or 0)
    stored: np.ndarray = np.clip(codes, limits.min, limits.max).astype(spec.dtype)
    return stored


def _from_file(array: np.ndarray, spec: TensorSpec) -> np.ndarray:
    """As the source gives it: reals, channels first."""
    if spec.scale is not None:
        array = (array.astype("float32") - (spec.zero_point or 0)) * spec.scale
    return array.transpose(0, 3, 1, 2) if spec.layout == "NHWC" and array.ndim == 4 else array


def contract_problems(artifact: Artifact, expected: Contract | None) -> list[str]:
    """Where the contract is not what was written, or not what the file's own tensors say."""
    contract = artifact.contract
    if contract is None:
        return [] if expected is None else ["the file carries no contract"]
    problems = []
    if expected is not None and contract != expected:
        problems.append("the contract read back from the file is not the one written")
    contents = artifact.contents
    for kind, said, found in (
        ("input", contract.inputs, contents.inputs),
        ("output", contract.outputs, contents.outputs),
    ):
        own = {spec.name: spec for spec in found}
        for spec in said:
            if spec.name not in own:
                problems.append(
                    f"the contract's {kind} {spec.name} is not in the file, which has {', '.join(own)}"
                )
                continue
            for what, ours in _facts(spec).items():
                theirs = _facts(_in_layout(own[spec.name], spec))[what]
                if ours != theirs:
                    problems.append(f"{kind} {spec.name} has {what} {theirs}, the contract says {ours}")
    if contract.labels and contract.task == "image-classification":
        classes = contract.outputs[0].shape[-1]
        if len(contract.labels) != classes:
            problems.append(f"the contract has {len(contract.labels)} labels for {classes} classes")
    return problems


def _facts(spec: TensorSpec) -> dict[str, object]:
    """What contract and file must agree on, the shape as the source has it."""
    shape = _by(_channels_first(spec.shape, spec))
    return {"shape": shape, "dtype": spec.dtype, "scale": spec.scale, "zero point": spec.zero_point}


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "scalar"
