"""Steps that decide limits: those of files once, those of time on each device."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobiledeploy.contract import Target
from mobiledeploy.deploy.gate_baselines import STORED, find_calibration, stored_baseline
from mobiledeploy.deploy.pipeline.parts import Parts, evaluated, named_at
from mobiledeploy.deploy.pipeline.step import Product, Source, Step
from mobiledeploy.deploy.project.schema import FLOAT
from mobiledeploy.device_tests.gate.limits import REGRESSION, TOP1_DROP, Kind, parse_seconds
from mobiledeploy.errors import InputError

if TYPE_CHECKING:
    from mobiledeploy.device_tests.history import History

GATES = "gates"
# Report of CI -> suffix of its file.
SUFFIXES = {"junit": "xml", "markdown": "md", "openmetrics": "txt", "github": "github.txt"}


def gate_steps(parts: Parts, history: str | None) -> Iterator[Step]:
    """All gates of a project.

    Args:
        parts: of the project.
        history: where stored baselines and calibrations are; None: the usual one.

    Raises:
        InputError: a limit lacks what it needs, or the history has no such run or calibration.
    """
    planner = _Gates(parts, history)
    planner.check()
    for target in parts.targets:
        if planner.still:
            yield planner.of_file(target)
        if planner.timed:
            yield from (planner.on_device(target, device) for device in parts.settings.measure.devices)


class _Gates:
    def __init__(self, parts: Parts, history: str | None) -> None:
        self._parts, self._history = parts, history
        self._gates = parts.settings.gates
        kinds = [item.kind for item in parts.project.limits]
        if parts.project.calibrated:
            kinds.append(REGRESSION)
        self.still = [kind for kind in kinds if not kind.runs]
        self.timed = [kind for kind in kinds if kind.runs]
        self._stored: str | None = None

    def check(self) -> None:
        """What the limits need is there."""
        settings, gates = self._parts.settings, self._gates
        parse_seconds(gates.time_limit, self._where("time-limit"))
        for kind in (*self.still, *self.timed):
            if kind.runs and not settings.measure.devices:
                what = f"{kind.name} is measured on a device, and there is none"
                raise self._lacking(kind, what, "Add one to measure.devices")
            if kind.against and gates.baseline is None:
                what = f"{kind.name} compares with a baseline, and there is none"
                raise self._lacking(kind, what, 'Add gates.baseline: "float", a file or a folder')
            if kind is TOP1_DROP and settings.data.images is None:
                raise self._lacking(kind, "accuracy needs images", "Add data.images")
        if gates.baseline == FLOAT and self._parts.is_float and (self.still or self.timed):
            raise InputError(
                "the files are the float ones", where=self._where("baseline"), hint="Give an earlier release"
            )
        if gates.baseline is not None and gates.baseline.startswith(STORED):
            self._stored = self._find_stored(gates.baseline)

    def of_file(self, target: Target) -> Step:
        """What is read from the file, and its accuracy."""
        product = self._parts.product(target)
        values, sources, takes = self._begin(target, self.still)
        if TOP1_DROP in self.still:
            values |= {
                **self._parts.image_settings(),
                "label_offset": self._parts.settings.data.label_offset,
            }
            sources |= self._parts.image_sources()
            takes["run"] = evaluated(product)
            if self._gates.baseline == FLOAT:
                takes["baseline_run"] = evaluated(self._parts.float_product(target))
        return self._step(product.file, {**values, "device": ""}, sources, takes)

    def on_device(self, target: Target, device: str) -> Step:
        """What is measured there."""
        product = self._parts.product(target)
        values, sources, takes = self._begin(target, self.timed)
        values |= self._parts.measuring(device)
        sources |= self._parts.library_source()
        if self._parts.project.calibrated:
            values["calibrated"] = self._calibrated(device, values)
        return self._step(f"{product.file}@{device}", values, sources, takes, device)

    def _begin(
        self, target: Target, kinds: list[Kind]
    ) -> tuple[dict[str, Any], dict[str, Source], dict[str, Product]]:
        said = self._gates.model_dump(mode="json", by_alias=True)
        names = {item.kind.name for item in self._parts.project.limits if item.kind in kinds}
        values: dict[str, Any] = {
            "limits": {name: said[name] for name in sorted(names)},
            "time_limit": self._gates.time_limit,
            "reports": list(self._gates.reports),
        }
        sources: dict[str, Source] = {}
        takes = {"file": self._parts.product(target)}
        baseline = self._gates.baseline
        if baseline is None or not any(kind.against for kind in kinds):
            return values, sources, takes
        if self._stored is not None:
            values["stored"] = self._stored
        elif baseline == FLOAT:
            takes["baseline"] = self._parts.float_product(target)
        else:
            values["baseline"] = path = _in_baseline(baseline, takes["file"].file)
            sources["baseline"] = Source(path, self._where("baseline"))
        return values, sources, takes

    def _step(
        self,
        about: str,
        values: dict[str, Any],
        sources: dict[str, Source],
        takes: dict[str, Product],
        device: str = "",
    ) -> Step:
        name = _file_part(about)
        published = {
            kind: self._parts.output(GATES, f"{name}.{SUFFIXES[kind]}") for kind in self._gates.reports
        }
        return Step(f"gate:{about}", "gate", values, sources, takes, device=device, publishes=published)

    def _find_stored(self, reference: str) -> str:
        """The whole id of a stored run that may stand for the baseline of all gates."""
        parts, where = self._parts, self._where("baseline")
        with named_at(where), self._open() as history:
            run = stored_baseline(history, reference)
        devices = parts.settings.measure.devices
        if TOP1_DROP in self.still:
            raise self._lacking(TOP1_DROP, "a stored run has no accuracy", "Give a file as the baseline")
        if parts.targets != (run.run.model.target,) or len(devices) != 1:
            raise InputError(
                f"this run is of one {run.run.model.target} file on one device, and the project has "
                f"{' and '.join(parts.targets)} on {len(devices)}",
                where=where,
                hint="Give a file as the baseline: it is measured in every format, on every device",
            )
        return run.identity

    def _calibrated(self, device: str, values: dict[str, Any]) -> dict[str, Any] | None:
        from mobiledeploy.deploy.pipeline.work.gating import setting_of

        with named_at(self._where(REGRESSION.name)), self._open() as history:
            found = find_calibration(history, device, setting_of(values), needed=True)
        return {"tolerance": found.tolerance, "run": found.run} if found else None

    def _open(self) -> History:
        from mobiledeploy.device_tests.history import open_history

        return open_history(self._history)

    def _where(self, key: str) -> str:
        return self._parts.project.where(GATES, key)

    def _lacking(self, kind: Kind, what: str, hint: str) -> InputError:
        return InputError(what, where=self._where(kind.name), hint=hint)


def _in_baseline(baseline: str, name: str) -> str:
    """A file, or the file of that name in a folder; a Core ML package is a folder, too."""
    path = Path(baseline)
    return str(path / name) if path.is_dir() and not (path / "Manifest.json").is_file() else baseline


def _file_part(text: str) -> str:
    """A name that every file system takes."""
    return "".join(char if char.isalnum() or char in "._@-" else "_" for char in text)
