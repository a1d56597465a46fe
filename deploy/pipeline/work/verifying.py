"""``verify``: a file beside what its source computes; only then it may be used, and is shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mobiledeploy.deploy.conversion import reject
from mobiledeploy.deploy.outputs import copy_whole
from mobiledeploy.deploy.pipeline.work import Done, Task
from mobiledeploy.deploy.pipeline.work.files import describe_file
from mobiledeploy.deploy.program_file import read_contract, read_reference
from mobiledeploy.deploy.verification import compare
from mobiledeploy.runtimes.formats import open_session, read_artifact


def run(task: Task) -> Done:
    """Compare, and hand the file on."""
    file = task.inputs["file"]
    task.announce(f"verify {file.name}")
    artifact, final = read_artifact(file), task.folder / file.name
    contract = read_contract(task.inputs["contracts"], artifact.target)
    reference = read_reference(task.inputs["reference"])
    report = compare(artifact, open_session(file), reference, expected=contract)
    copy_whole(file, final)
    if not report.passed:
        reject(final, final, report)
    told = replace(report, path=Path(file.name)).to_json()
    return Done({**describe_file(artifact), "verification": told})
