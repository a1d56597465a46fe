"""The Android library: which files it has, and what a check of it looks at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from mobiledeploy.contract import Target
from mobiledeploy.deploy.packages.golden import golden_files
from mobiledeploy.deploy.packages.manifest import Manifest, labels_files, manifest_file
from mobiledeploy.deploy.packages.plan import PackagePlan, PlannedFile, make_plan, place
from mobiledeploy.deploy.packages.platform import Platform
from mobiledeploy.deploy.packages.platforms.android.aar import build_aar
from mobiledeploy.deploy.packages.platforms.android.checks import check_android
from mobiledeploy.deploy.packages.platforms.android.kotlin import RESERVED, find_kotlinc
from mobiledeploy.deploy.packages.platforms.android.values import SOURCES, TEMPLATES, values
from mobiledeploy.deploy.packages.subject import Subject
from mobiledeploy.deploy.packages.templating import Templates
from mobiledeploy.deploy.packages.trees import Tree
from mobiledeploy.errors import EnvironmentProblem


class Android(Platform):
    """Kotlin over LiteRT or ONNX Runtime."""

    name = "android"
    targets: tuple[Target, ...] = ("tflite", "onnx")
    reserved = RESERVED

    def plan(self, subject: Subject) -> PackagePlan:
        """See ``Platform.plan``."""
        return make_plan(self.name, subject.name, self._files(subject))

    def build(self, subject: Subject, folder: Path) -> list[str]:
        """Compile the sources and write the AAR, where there is a Kotlin compiler."""
        compiler = find_kotlinc()
        if compiler is None:
            return [
                "no .aar was made: kotlinc is not on this machine. Add the folder as a module, or install "
                "Kotlin's command line compiler and package again"
            ]
        try:
            build_aar(subject, folder, compiler)
        except EnvironmentProblem as problem:
            return [f"no .aar was made. {problem}"]
        return []

    def check(self, tree: Tree, folder: str, manifest: Manifest) -> Iterable[str]:
        """See ``Platform.check``."""
        return check_android(tree, folder, manifest)

    def _files(self, subject: Subject) -> Iterator[PlannedFile]:
        templates, known = Templates(TEMPLATES), values(subject)
        path = subject.namespace.replace(".", "/")

        def kotlin(kind: str, name: str, template: str) -> PlannedFile:
            return templates.file(template, f"src/{kind}/kotlin/{path}/{name}.kt", **known)

        yield templates.file("README.md.j2", "README.md", **known)
        yield templates.file("MODEL_CARD.md.j2", "MODEL_CARD.md", subject=subject)
        yield templates.file("build.gradle.kts.j2", "build.gradle.kts", **known)
        yield templates.file("consumer-rules.pro.j2", "consumer-rules.pro", **known)
        yield templates.file("AndroidManifest.xml.j2", "src/main/AndroidManifest.xml", archive=False, **known)
        for name, template in SOURCES[subject.target].items():
            yield kotlin("main", name, template)
        yield kotlin("test", "PreprocessingTest", "PreprocessingTest.kt.j2")
        for kind in ("main", "test", "androidTest"):
            if kind != "main":
                yield kotlin(kind, "Ppm", "Ppm.kt.j2")
            for template in templates.names(f"tasks/{subject.task.name}/{kind}"):
                name = PurePosixPath(template).name.removesuffix(".kt.j2").replace("Model", subject.name)
                yield kotlin(kind, name, template)
        assets = (*subject.model, *labels_files(subject), manifest_file(subject, self.name))
        yield from place(PurePosixPath("src/main/assets", known["assets"]), assets)
        yield from place("src/golden", golden_files(subject.golden, subject.outputs, subject.engine))
