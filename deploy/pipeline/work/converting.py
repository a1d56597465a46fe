"""``convert``: a program becomes a file of one target, read back and not yet compared."""

from __future__ import annotations

from mobiledeploy.deploy.collector import collector_paused
from mobiledeploy.deploy.pipeline.work import Done, Task
from mobiledeploy.deploy.pipeline.work.files import describe_file
from mobiledeploy.deploy.preparation import write_file
from mobiledeploy.deploy.program_file import read_contract, read_program
from mobiledeploy.runtimes.formats import read_artifact


def run(task: Task) -> Done:
    """Write it."""
    given = task.settings
    final = task.folder / given["file"]
    with collector_paused():
        task.announce(f"write {final.name}")
        program = read_program(task.inputs["program"])
        contract = read_contract(task.inputs["contracts"], given["target"])
        write_file(program, contract, given["target"], given["precision"], final)
    return Done(describe_file(read_artifact(final)))
