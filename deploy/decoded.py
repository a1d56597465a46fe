"""A file that decodes its own boxes is checked against one with raw heads, by what suppression means.

Outputs cannot be compared number by number: of two boxes with nearly the same score, either may be the first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mobiledeploy.contract import Contract, Precision, Suppression
from mobiledeploy.deploy.comparison import VerificationReport
from mobiledeploy.deploy.golden import write_golden
from mobiledeploy.deploy.samples import Reference
from mobiledeploy.deploy.verification import compare, contract_problems, run_file
from mobiledeploy.detection import candidates_of, intersection_over_union
from mobiledeploy.errors import InputError
from mobiledeploy.runtimes.census import Artifact
from mobiledeploy.runtimes.formats import open_session

if TYPE_CHECKING:
    import numpy as np

    from mobiledeploy.runtimes.session import Session

# By which scores and corners may differ: decoding is done in the file's own float type.
SLACK: dict[Precision, float] = {"fp16": 2e-2}
_USUAL_SLACK = 1e-4
# Overlaps of small boxes feel rounding more.
_OVERLAP_SLACK = 10


def compare_decoded(
    artifact: Artifact,
    session: Session,
    heads: Artifact,
    reference: Reference,
    *,
    expected: Contract,
    precision: Precision,
    golden: Path | None = None,
) -> VerificationReport:
    """Compare raw heads with their source, and what the file found with what is in the heads.

    Args:
        artifact: what was read from the file.
        session: the file, open.
        heads: the same with raw heads, in the same format and precision.
        reference: what the source of the heads computes.
        expected: contract that the file should carry.
        precision: of both files.
        golden: ``.npz`` file to write the samples and the file's outputs to.

    Raises:
        InputError: the heads have no anchors.
        OutputError: ``golden`` cannot be written.
    """
    raw = open_session(heads.path)
    report = compare(heads, raw, reference)
    rule, contract = expected.suppression, heads.contract
    if rule is None or contract is None:
        raise InputError("the contracts say nothing of boxes")
    problems = [*report.problems, *contract_problems(artifact, expected)]
    stored = []
    slack = SLACK.get(precision, _USUAL_SLACK)
    for index, sample in enumerate(reference.samples):
        arrays, results, found = run_file(artifact, session, sample)
        stored.append((arrays, results))
        _, _, inside = run_file(heads, raw, sample)
        wrong = next(disagreements(found, *candidates_of(contract, inside), rule, slack), None)
        if wrong:
            problems.append(f"sample {index}: {wrong}")
    if golden is not None:
        write_golden(golden, session, stored)
    return replace(report, path=artifact.path, sha256=artifact.sha256, problems=tuple(problems))


def disagreements(
    found: dict[str, np.ndarray], boxes: np.ndarray, scores: np.ndarray, rule: Suppression, slack: float
) -> Iterator[str]:
    """Where objects are not what non-maximum suppression leaves of the candidates; any order among equals is.

    Args:
        found: ``boxes``, ``scores``, ``classes`` and ``count`` as a file returns them, of one image.
        boxes: (boxes, 4) or (boxes, classes, 4), corners within the image.
        scores: (boxes, classes).
        rule: what was asked for.
        slack: by which scores and corners may differ.
    """
    import numpy as np

    count = int(found["count"][0])
    corners, certain, kinds = (found[name][0] for name in ("boxes", "scores", "classes"))
    if not 0 <= count <= len(certain) or any(array[count:].any() for array in (corners, certain, kinds)):
        yield f"there are {count} objects, and rows behind them that are not zeros"
        return
    if (np.diff(certain[:count]) > 0).any():
        yield "the objects are not in the order of their scores"
    # What is less certain than the last one need not be there if there is no room.
    least = rule.threshold if count < len(certain) else max(rule.threshold, float(certain[count - 1]))
    for kind in range(scores.shape[1]):
        own = np.flatnonzero(kinds[:count] == kind)
        places = boxes if boxes.ndim == 2 else boxes[:, kind]
        yield from _of_one_class(
            kind, corners[own], certain[own], places, scores[:, kind], least, rule, slack
        )
    strange = set(kinds[:count].tolist()) - set(range(scores.shape[1]))
    if strange:
        yield f"there is no class {min(strange)}"


def _of_one_class(
    kind: int,
    corners: np.ndarray,
    certain: np.ndarray,
    boxes: np.ndarray,
    scores: np.ndarray,
    least: float,
    rule: Suppression,
    slack: float,
) -> Iterator[str]:
    import numpy as np

    limit = _OVERLAP_SLACK * slack
    covered = np.zeros(len(scores), bool)
    for index, (box, score) in enumerate(zip(corners, certain, strict=True)):
        same = np.abs(boxes - box).max(axis=1) <= slack
        if not (same & (np.abs(scores - score) <= slack)).any() or score < rule.threshold - slack:
            yield f"no box of class {kind} has the score {score:.4f} at {np.round(box, 4).tolist()}"
        if (intersection_over_union(box, corners[:index]) > rule.overlap + limit).any():
            yield f"the box of class {kind} with the score {score:.4f} overlaps a better one"
        shares = intersection_over_union(box, boxes)
        covered |= (same | (shares >= rule.overlap - limit)) & (scores <= score + slack)
    missing = np.flatnonzero(~covered & (scores > least + slack))
    if len(missing):
        yield f"the box {missing[0]} of class {kind} with the score {scores[missing[0]]:.4f} is missing"
