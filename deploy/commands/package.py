"""``mobiledeploy package``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mobiledeploy.deploy.commands.options import HistoryOption, PreprocessingOption
from mobiledeploy.deploy.commands.outcome import JsonOption, Outcome
from mobiledeploy.deploy.progress import announcer
from mobiledeploy.errors import VerificationError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mobiledeploy.deploy.packages.checking import CheckedPackage
    from mobiledeploy.deploy.packages.packaging import Package

EXAMPLE = "mobiledeploy package mobilenet_v2.tflite --platform android -o flowers --name FlowerClassifier"


def package(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="A TFLite, ONNX or Core ML model for images.")
    ] = None,
    platform: Annotated[
        str | None, typer.Option("--platform", metavar="NAME", help="android, ios or linux.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Folder of the package.")
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            "--name", metavar="CLASS", help="The class that the app calls; else by the task, as Detector."
        ),
    ] = None,
    namespace: Annotated[
        str | None,
        typer.Option(
            "--namespace", metavar="DOTTED", help="Of the generated code; else com.example. and the name."
        ),
    ] = None,
    preprocessing: PreprocessingOption = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write over edited files, and beside foreign ones.")
    ] = False,
    check: Annotated[
        Path | None,
        typer.Option("--check", metavar="PATH", help="Check a package's folder, or an AAR, APK or wheel."),
    ] = None,
    history: HistoryOption = None,
    as_json: JsonOption = False,
) -> Outcome:
    """Make a library for an app of a model file, or check one."""
    if check is not None:
        if file is not None or platform is not None or output is not None:
            raise typer.BadParameter("--check goes without FILE, --platform and -o.")
        return _check(check, as_json)
    if file is None or platform is None or output is None:
        raise typer.BadParameter("FILE, --platform and -o are needed; or --check PATH.")
    from mobiledeploy.deploy.packages.packaging import package as make

    with announcer() as announce:
        announce(f"package {file.name} for {platform}")
        made = make(
            file,
            platform,
            output,
            name=name,
            namespace=namespace,
            preprocessing=preprocessing,
            history=history,
            force=force,
        )
    return Outcome(_to_data(made), lambda: _render(made), as_json)


def _check(path: Path, as_json: bool) -> Outcome:
    from mobiledeploy.deploy.packages.checking import check_package

    found = check_package(path)
    passed = not any(item.problems for item in found)
    data = {"path": str(path), "passed": passed, "packages": [_checked(item) for item in found]}
    code = 0 if passed else VerificationError.exit_code
    return Outcome(data, lambda: _render_check(found), as_json, code)


def _checked(item: CheckedPackage) -> dict[str, Any]:
    manifest = item.manifest
    return {
        "manifest": item.place,
        "platform": manifest.platform,
        "name": manifest.name,
        "namespace": manifest.namespace,
        "model_sha256": manifest.sha256,
        "problems": list(item.problems),
    }


def _to_data(made: Package) -> dict[str, Any]:
    return {
        "folder": str(made.folder),
        "platform": made.plan.platform,
        "name": made.subject.name,
        "namespace": made.subject.namespace,
        "model_sha256": made.subject.sha256,
        "files": [str(file.path) for file in made.plan.files],
        "remarks": list(made.remarks),
    }


def _render(made: Package) -> RenderableType:
    from mobiledeploy.deploy.commands.tables import pairs, size

    total = sum(len(file.content) for file in made.plan.files)
    return pairs(
        [
            ("package", str(made.folder)),
            ("class", f"{made.subject.namespace}.{made.subject.name}"),
            ("files", f"{len(made.plan.files)}, {size(total)}"),
            ("model", f"{made.subject.arithmetic}, sha256 {made.subject.sha256}"),
            ("check", "passed"),
            *(("note", remark) for remark in made.remarks),
            ("read first", str(made.folder / "README.md")),
        ]
    )


def _render_check(found: tuple[CheckedPackage, ...]) -> RenderableType:
    from rich.console import Group

    from mobiledeploy.deploy.commands.tables import pairs

    return Group(
        *(
            pairs(
                [
                    ("package", f"{item.manifest.namespace}.{item.manifest.name} ({item.manifest.platform})"),
                    ("manifest", item.place),
                    ("model", f"sha256 {item.manifest.sha256}"),
                    *(("problem", problem) for problem in item.problems),
                    ("verdict", "failed" if item.problems else "passed"),
                ]
            )
            for item in found
        )
    )
