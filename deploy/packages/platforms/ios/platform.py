"""The Swift package: which files it has, and what a check of it looks at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from mobiledeploy.contract import Target
from mobiledeploy.deploy.packages.golden import golden_files
from mobiledeploy.deploy.packages.manifest import Manifest, labels_files, manifest_file
from mobiledeploy.deploy.packages.plan import PackagePlan, PlannedFile, make_plan, place
from mobiledeploy.deploy.packages.platform import Platform
from mobiledeploy.deploy.packages.platforms.ios.checks import PACKAGE, check_ios
from mobiledeploy.deploy.packages.platforms.ios.swift import RESERVED
from mobiledeploy.deploy.packages.platforms.ios.values import TEMPLATES, values
from mobiledeploy.deploy.packages.subject import Subject
from mobiledeploy.deploy.packages.templating import Templates
from mobiledeploy.deploy.packages.trees import Tree

_SOURCES = ("CGImagePixels", "ModelContract", "Preprocessing", "Scores")
_TESTS = ("Golden", "PreprocessingTests")
_ENGINES = {"coreml": "EngineCoreML", "onnx": "EngineOnnx", "tflite": "EngineLiteRt"}


class Ios(Platform):
    """Swift over Core ML, ONNX Runtime or LiteRT; of the last one a CocoaPod."""

    name = "ios"
    targets: tuple[Target, ...] = ("coreml", "onnx", "tflite")
    reserved = RESERVED

    def plan(self, subject: Subject) -> PackagePlan:
        """See ``Platform.plan``."""
        return make_plan(self.name, subject.name, self._files(subject))

    def build(self, subject: Subject, folder: Path) -> list[str]:
        """Nothing is built: there is no Swift compiler here, and the user is told so."""
        del subject, folder
        return ["the Swift code was not compiled: run the package's tests in Xcode before you rely on it"]

    def check(self, tree: Tree, folder: str, manifest: Manifest) -> Iterable[str]:
        """See ``Platform.check``."""
        return check_ios(tree, folder, manifest)

    def _files(self, subject: Subject) -> Iterator[PlannedFile]:
        templates, known = Templates(TEMPLATES), values(subject)
        sources, tests = f"Sources/{known['module']}", f"Tests/{known['module']}Tests"

        def swift(folder: str, name: str, template: str) -> PlannedFile:
            return templates.file(f"{template}.swift.j2", f"{folder}/{name}.swift", **known)

        yield templates.file("README.md.j2", "README.md", **known)
        yield templates.file("MODEL_CARD.md.j2", "MODEL_CARD.md", subject=subject)
        if subject.target == "tflite":
            yield templates.file("Podspec.j2", f"{known['module']}.podspec", **known)
            for folder in (sources, tests):
                bundle = folder.rpartition("/")[2]
                yield templates.file("Bundle.swift.j2", f"{folder}/Bundle.swift", bundle=bundle)
        else:
            yield templates.file("Package.swift.j2", PACKAGE, **known)
        yield swift(sources, "Engine", _ENGINES[subject.target])
        for name in _SOURCES:
            yield swift(sources, name, name)
        for name in _TESTS:
            yield swift(tests, name, name)
        for kind, folder in (("sources", sources), ("tests", tests)):
            for template in templates.names(f"tasks/{subject.task.name}/{kind}"):
                path = template.removesuffix(".swift.j2")
                yield swift(folder, path.rpartition("/")[2], path)
        assets = (*subject.model, *labels_files(subject), manifest_file(subject, self.name))
        yield from place(f"{sources}/Resources", assets)
        yield from place(f"{tests}/Golden", golden_files(subject.golden, subject.outputs, subject.engine))
