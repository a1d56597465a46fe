"""A pipeline of steps that take no time: the real plan, cache, look and execution around made-up work.

python quick_steps.py    runs it in the current folder
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mobiledeploy.deploy.pipeline.cache import FOLDER, Cache
from mobiledeploy.deploy.pipeline.digests import Digests
from mobiledeploy.deploy.pipeline.execution import Execution, Result
from mobiledeploy.deploy.pipeline.looking import Looker
from mobiledeploy.deploy.pipeline.starting import Came
from mobiledeploy.deploy.pipeline.step import Product, Source, Step
from mobiledeploy.device_tests.lock import hold_file

B = Product("convert:b", "out")
PLAN = (
    Step("convert:a", "convert", {"x": 1}, {"weights": Source("weights")}, publishes={"out": "build/a"}),
    Step("convert:b", "convert", {"x": 2}, {"images": Source("images")}, publishes={"out": "build/b"}),
    Step("evaluate:a", "evaluate", {}, {}, {"file": Product("convert:a", "out")}),
    Step(
        "benchmark:d",
        "benchmark",
        {"address": {"kind": "adb"}},
        {},
        {"file": Product("convert:b", "out")},
        device="d",
    ),
    Step(
        "gate:b", "gate", {}, {}, {"file": Product("convert:b", "out"), "run": Product("evaluate:a", "out")}
    ),
    Step(
        "package:p",
        "package",
        {},
        {},
        {"file": Product("convert:a", "out")},
        after=("gate:b",),
        publishes={"folder": "build/packages/p"},
    ),
)


def fill(root: Path) -> None:
    """What the steps read."""
    (root / "weights").write_text("weights")
    (root / "images" / "class").mkdir(parents=True)
    for number in range(20):
        (root / "images" / "class" / f"{number}.png").write_bytes(bytes([number]) * 1000)


class Work:
    """Made-up work: outputs are drawn from settings and inputs; every call is noted."""

    def __init__(self, **ends: Came) -> None:
        self.calls: list[str] = []
        self.ends = ends
        self.during: Callable[[Step], None] = lambda _: None

    def __call__(
        self, step: Step, inputs: Mapping[str, Path], folder: Path, announce: Callable[[str], None]
    ) -> Came:
        self.calls.append(step.name)
        self.during(step)
        if end := self.ends.get(step.kind):
            return end
        read = {name: path.read_text() for name, path in sorted(inputs.items())}
        own = [Path(source.path) for source in step.sources.values()]
        sizes = [
            sum(file.stat().st_size for file in (path, *path.rglob("*"))) for path in own if path.is_file()
        ]
        text = json.dumps([step.kind, dict(step.settings), read, sizes])
        if step.kind == "package":
            (folder / "folder" / "below").mkdir(parents=True)
            for number in range(20):
                (folder / "folder" / "below" / str(number)).write_text(text * 50)
        else:
            (folder / "out").write_text(text)
        return Came({"length": len(text)})

    def end(self) -> None:
        """Nothing outlives a call."""


def run(
    work: Any, plan: Sequence[Step] = PLAN, again: frozenset[str] = frozenset(), version: str = "1"
) -> tuple[Result, ...]:
    """In the current folder."""
    cache = Cache()
    digests = Digests(cache.digests)
    looker = Looker(cache, digests, {"mobiledeploy": version}, again)
    cache.tidy()
    try:
        return Execution(plan, cache, looker, work, jobs=2, announce=lambda _: None).run()
    finally:
        cache.write("digests.json", digests.to_json())


def main() -> int:
    """Run it with a pause in each step."""
    work = Work()
    work.during = lambda _: time.sleep(0.02)
    with hold_file(FOLDER / "lock") as owner:
        if owner is not None:
            return 7
        return max(result.code for result in run(work))


if __name__ == "__main__":
    sys.exit(main())
