"""What the steps of a project are put together from."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from mobiledeploy.contract import Target
from mobiledeploy.deploy.pipeline.step import Product, Source
from mobiledeploy.deploy.project.files import FLOAT, file_name, wanted
from mobiledeploy.deploy.project.loading import Project
from mobiledeploy.device_tests.lab.leases import KIND
from mobiledeploy.device_tests.lab.runs import is_for_lab
from mobiledeploy.device_tests.references import resolve
from mobiledeploy.errors import InputError, MobileDeployError

RUN = "run.json"


class Parts:
    """Names, products and settings that several steps share.

    Attributes:
        project, settings: of which the steps are.
        asked: arithmetic of the files that are deployed.
        targets: their formats.
        is_float: whether they are the float files.
    """

    def __init__(self, project: Project) -> None:
        self.project, self.settings = project, project.settings
        self.asked = wanted(project.settings)
        self.targets = project.settings.convert.targets
        self.is_float = self.asked == FLOAT

    def product(self, target: Target) -> Product:
        """The file that is deployed in one format, verified."""
        return verified(file_name(self.settings, target, self.asked))

    def float_product(self, target: Target) -> Product:
        """The float file that it is compared with."""
        return verified(file_name(self.settings, target, FLOAT))

    def output(self, *parts: str) -> str:
        """Path of a result."""
        return "/".join((self.settings.convert.output, *parts))

    def source(self, table: str, key: str) -> Source:
        """What a key names."""
        values = getattr(self.settings, table)
        return Source(getattr(values, key.replace("-", "_")), self.project.where(table, key))

    def image_settings(self) -> dict[str, Any]:
        """Labelled images."""
        data = self.settings.data
        return {"images": data.images, "labels": data.labels}

    def image_sources(self) -> dict[str, Source]:
        """The same as what is read."""
        named = self.image_settings()
        return {key: self.source("data", key) for key, path in named.items() if path is not None}

    def measuring(self, device: str) -> dict[str, Any]:
        """How latency is measured on a device."""
        how = self.settings.measure
        where = self.project.where("measure", "devices")
        lab = is_for_lab([device], how.scheduler)
        return {
            "device": device,
            "address": _lab_address(device, how.scheduler, where) if lab else address(device, where),
            "threads": how.threads,
            "affinity": how.affinity,
            "governor": how.governor,
            "max_temperature": how.max_temperature,
            "runner": how.runner,
            "engine_library": how.engine_library,
        }

    def library_source(self) -> dict[str, Source]:
        """What devices are sent beside the runner."""
        named = self.settings.measure.engine_library
        return {} if named is None else {"engine library": self.source("measure", "engine-library")}


def verified(file: str) -> Product:
    """A file that was found to compute what its source does."""
    return Product(f"verify:{file}", file)


def evaluated(file: Product, device: str = "") -> Product:
    """The accuracy of a file, on this host or on a device."""
    return Product(f"evaluate:{file.file}{f'@{device}' if device else ''}", RUN)


def address(reference: str, where: str) -> dict[str, Any]:
    """What a reference means now: the same name for another device is another device.

    Raises:
        InputError: there is no such device.
    """
    with named_at(where):
        found = asdict(resolve(reference))
    # A project's folder may be copied to another machine, with what was measured on this one.
    host = [*os.uname()[1:3], os.cpu_count()] if found["kind"] == "local" else None
    return {**{key: None if value is None else str(value) for key, value in found.items()}, "host": host}


def _lab_address(device: str, scheduler: str | None, where: str) -> dict[str, Any]:
    """Of a lab: a name is unique there, and devices of a kind are equal."""
    from mobiledeploy.device_tests.device_file import find_entries

    with named_at(where):
        if scheduler is None and all(f"{KIND}{item.kind}" != device for item in find_entries().values()):
            raise InputError(
                f"no device of devices.toml is of the kind {device.removeprefix(KIND)}",
                hint="Give one of them that kind there, or name a lab in measure.scheduler",
            )
    return {"kind": "lab", "where": device}


@contextmanager
def at(where: str) -> Iterator[None]:
    """Errors inside the block are about a place in the file, whatever option they name."""
    try:
        yield
    except MobileDeployError as error:
        error.where = where
        raise


@contextmanager
def named_at(where: str) -> Iterator[None]:
    """Errors inside the block are about something that a place in the file names."""
    try:
        yield
    except MobileDeployError as error:
        error.where = f"{where}: {error.where}" if error.where else where
        raise
