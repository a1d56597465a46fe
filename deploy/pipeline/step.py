"""One step of a pipeline: plain frozen data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Source:
    """What a step reads that no step makes.

    Attributes:
        path: file or folder, relative to the project; absolute for code that lies elsewhere.
        where: file and line that name it, for messages.
        code: of a folder only Python files count.
        without: a folder in it that does not count.
    """

    path: str
    where: str = ""
    code: bool = False
    without: str = ""


@dataclass(frozen=True, slots=True)
class Product:
    """What a step reads that another one made.

    Attributes:
        step: name of that step.
        file: one of its outputs: a file or a folder.
    """

    step: str
    file: str


@dataclass(frozen=True, slots=True)
class Step:
    """One step.

    Attributes:
        name: none has the same; its kind, a colon, and what it is about.
        kind: of ``work.KINDS``.
        settings: JSON values that say what is done.
        sources: what it reads of the user's, by what it is to the step.
        takes: what it reads of other steps', likewise.
        after: further steps that have to end well first.
        device: that it measures on, and so has for itself; empty: it computes on this host.
        publishes: output -> path in the project where the user finds it.
    """

    name: str
    kind: str
    settings: Mapping[str, Any]
    sources: Mapping[str, Source] = field(default_factory=dict)
    takes: Mapping[str, Product] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    device: str = ""
    publishes: Mapping[str, str] = field(default_factory=dict)

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the steps that have to end well first."""
        return tuple(dict.fromkeys([*(product.step for product in self.takes.values()), *self.after]))
