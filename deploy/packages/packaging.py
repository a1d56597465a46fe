"""From a model file to a package in a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mobiledeploy.deploy.packages.checking import check_package
from mobiledeploy.deploy.packages.measured import Measured, find_measured
from mobiledeploy.deploy.packages.names import check_name
from mobiledeploy.deploy.packages.plan import PackagePlan
from mobiledeploy.deploy.packages.platforms import find_platform
from mobiledeploy.deploy.packages.subject import Subject, make_subject
from mobiledeploy.deploy.packages.writing import write_package
from mobiledeploy.errors import VerificationError


@dataclass(frozen=True, slots=True)
class Package:
    """A package that was written, and checked.

    Attributes:
        folder: where it is.
        subject: what is in it.
        plan: its files, without those that were built of them.
        remarks: what was left out, and what to do to have it.
    """

    folder: Path
    subject: Subject
    plan: PackagePlan
    remarks: tuple[str, ...]


def package(
    file: str | Path,
    platform: str,
    output: str | Path,
    *,
    name: str | None = None,
    namespace: str | None = None,
    preprocessing: str | None = None,
    history: str | None = None,
    measured: Measured | None = None,
    force: bool = False,
) -> Package:
    """Write a library that an app developer adds and calls with an image.

    Args:
        file: a model of one of ``tasks.TASKS``, with its contract inside.
        platform: one of ``platforms.names()``.
        output: folder; made if it is not there.
        name: of the class that the app calls; None: that of the task, ``Classifier`` or ``Detector``.
        namespace: of the generated code; None: ``com.example.`` and the name.
        preprocessing: name of a preset, for a file that does not carry its own.
        history: where runs of the file are looked for.
        measured: what is known of the file, in place of a history.
        force: write over edited files, and beside foreign ones.

    Raises:
        InputError: a name, the file or the folder does not fit.
        UnsupportedError: the platform's package cannot express the model.
        EnvironmentProblem: what is needed is not installed.
        OutputError: it cannot be written.
        VerificationError: what was written does not pass its own check.
    """
    chosen = find_platform(platform)
    if name is not None:
        check_name(name, chosen.reserved)
    subject = make_subject(
        Path(file),
        name=name,
        namespace=namespace,
        targets=chosen.targets,
        platform=platform,
        preprocessing=preprocessing,
        measured=lambda sha256: find_measured(sha256, history) if measured is None else measured,
    )
    plan = chosen.plan(subject)
    folder = Path(output)

    def build(unfinished: Path) -> list[str]:
        remarks = chosen.build(subject, unfinished)
        for checked in check_package(unfinished):
            for problem in checked.problems:
                raise VerificationError(f"the package is wrong: {problem}", where=checked.place)
        return remarks

    remarks = write_package(plan, folder, force=force, build=build)
    return Package(folder, subject, plan, tuple(remarks))
