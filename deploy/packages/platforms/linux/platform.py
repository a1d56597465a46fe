"""The Linux package: which files it has, and its wheel."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from mobiledeploy.contract import Target
from mobiledeploy.deploy.packages.golden import golden_files
from mobiledeploy.deploy.packages.manifest import Manifest, labels_files, manifest_file
from mobiledeploy.deploy.packages.plan import PackagePlan, PlannedFile, make_plan, place, text_file
from mobiledeploy.deploy.packages.platform import Platform
from mobiledeploy.deploy.packages.platforms.linux.checks import check_linux
from mobiledeploy.deploy.packages.platforms.linux.runner import runner_files
from mobiledeploy.deploy.packages.platforms.linux.values import (
    PYTHON,
    RESERVED,
    TEMPLATES,
    requirements,
    values,
)
from mobiledeploy.deploy.packages.platforms.linux.wheel import metadata_text, wheel_name, write_wheel
from mobiledeploy.deploy.packages.subject import Subject
from mobiledeploy.deploy.packages.templating import Templates
from mobiledeploy.deploy.packages.trees import Tree

_PYTHON = ("__init__", "contract", "preprocessing")
_C = ("Makefile", "classify.c", "contract.h", "failure.c")


class Linux(Platform):
    """Python over LiteRT or ONNX Runtime; of classifiers the native runner's sources with an example."""

    name = "linux"
    targets: tuple[Target, ...] = ("tflite", "onnx")
    reserved = RESERVED

    def plan(self, subject: Subject) -> PackagePlan:
        """See ``Platform.plan``."""
        return make_plan(self.name, subject.name, self._files(subject))

    def build(self, subject: Subject, folder: Path) -> list[str]:
        """The wheel."""
        known = values(subject)
        module, version = known["module"], known["version"]
        python = folder / "python"
        files = {
            path.relative_to(python).as_posix(): path.read_bytes()
            for path in sorted(python.rglob("*"))
            if path.is_file()
        }
        metadata = metadata_text(
            module,
            version,
            f"{known['does']}: {subject.amount}",
            PYTHON,
            requirements(subject.target),
            (folder / "README.md").read_text(encoding="utf-8"),
        )
        write_wheel(folder / wheel_name(module, version), module, metadata, files, version=version)
        return []

    def check(self, tree: Tree, folder: str, manifest: Manifest) -> Iterable[str]:
        """See ``Platform.check``."""
        return check_linux(tree, folder, manifest)

    def _files(self, subject: Subject) -> Iterator[PlannedFile]:
        templates, known = Templates(TEMPLATES), values(subject)
        package = f"python/{known['module']}"
        yield templates.file(
            "README.md.j2", "README.md", wheel=wheel_name(known["module"], known["version"]), **known
        )
        card = templates.file("MODEL_CARD.md.j2", "MODEL_CARD.md", subject=subject)
        yield card
        for name in _PYTHON:
            yield templates.file(f"python/{name}.py.j2", f"{package}/{name}.py", **known)
        for name in templates.names(f"python/tasks/{subject.task.name}"):
            path = f"{package}/{PurePosixPath(name).stem}"
            yield templates.file(name, path, **known)
        yield templates.file(f"python/engine_{known['engine']}.py.j2", f"{package}/engine.py", **known)
        yield text_file(f"{package}/py.typed", "")
        # A wheel goes alone to many boards: what the model is goes with it.
        assets = (card, *subject.model, *labels_files(subject), manifest_file(subject, self.name))
        yield from place(package, assets)
        yield from place(f"{package}/golden", golden_files(subject.golden, subject.outputs, subject.engine))
        if known["c"]:
            for name in _C:
                yield templates.file(f"c/{name}.j2", f"c/{name}", **known)
            yield from place("c/runner", runner_files(subject.target))
