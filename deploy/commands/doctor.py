"""``mobiledeploy doctor``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mobiledeploy.deploy.commands.outcome import JsonOption, Outcome
from mobiledeploy.errors import EnvironmentProblem

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mobiledeploy.deploy.diagnosis import Diagnosis

EXAMPLE = "mobiledeploy doctor"


def doctor(as_json: JsonOption = False) -> Outcome:
    """Check this machine: versions, packages that clash, what can be converted and run here."""
    from mobiledeploy.deploy.diagnosis import diagnose

    diagnosis = diagnose()
    exit_code = EnvironmentProblem.exit_code if diagnosis.clashes else 0
    return Outcome(diagnosis.to_json(), lambda: _render(diagnosis), as_json, exit_code)


def _render(diagnosis: Diagnosis) -> RenderableType:
    from rich.console import Group

    from mobiledeploy.deploy.commands.tables import columns, pairs

    packages = [
        (item.package, item.installed or "-", item.tested, item.verdict) for item in diagnosis.packages
    ]
    targets = [
        (item.target, _or_install(item.converts, item.target), _or_install(item.runs, item.target))
        for item in diagnosis.targets
    ]
    models = [(item.name, item.state) for item in diagnosis.models]
    return Group(
        pairs([("Python", diagnosis.python), ("platform", diagnosis.platform)]),
        columns(("package", "installed", "tested", "verdict"), packages),
        columns(("target", "convert", "run"), targets),
        columns(("model", "weights"), models),
        pairs(
            [*(("clash", clash) for clash in diagnosis.clashes), *(("advice", x) for x in diagnosis.advice)]
        ),
    )


def _or_install(works: str, target: str) -> str:
    return works or f"pip install 'mobiledeploy[{target}]'"
