"""The Android library: which files it has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mobiledeploy.contract import Target
from mobiledeploy.deploy.packages.golden import golden_files
from mobiledeploy.deploy.packages.manifest import labels_file, manifest_file
from mobiledeploy.deploy.packages.plan import PackagePlan, PlannedFile, make_plan, place
from mobiledeploy.deploy.packages.platform import Platform
from mobiledeploy.deploy.packages.subject import Subject
from mobiledeploy.deploy.packages.templating import Templates

TEMPLATES = Path(__file__).parent / "templates"


class Android(Platform):
    """Kotlin over LiteRT or ONNX Runtime."""

    name = "android"
    targets: tuple[Target, ...] = ("tflite", "onnx")
    reserved = frozenset({"Category"})

    def plan(self, subject: Subject) -> PackagePlan:
        """See ``Platform.plan``."""
        return make_plan(self.name, subject.name, self._files(subject))

    def _files(self, subject: Subject) -> Iterator[PlannedFile]:
        templates = Templates(TEMPLATES)
        yield templates.file("MODEL_CARD.md.j2", "MODEL_CARD.md", subject=subject)
        assets = (*subject.model, labels_file(subject), manifest_file(subject, self.name))
        yield from place("src/main/assets", assets)
        yield from place("src/golden", golden_files(subject.golden, subject.output, subject.engine))
