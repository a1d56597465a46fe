"""Jinja2 as all templates use it."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from mobiledeploy.deploy.packages.plan import PlannedFile, text_file
from mobiledeploy.runtimes.formats import needs

if TYPE_CHECKING:
    from jinja2 import Environment

# What every platform's package has.
SHARED = Path(__file__).parent / "templates"


class Templates:
    """The templates of one folder, and the shared ones.

    Args:
        folder: ``templates`` of a platform.

    Raises:
        EnvironmentProblem: Jinja2 is not installed.
    """

    def __init__(self, folder: Path) -> None:
        self._environment = _environment(folder)

    def render(self, template: str, **values: Any) -> str:
        """The text of a template; a value that it names and does not get is an error."""
        return self._environment.get_template(template).render(**values)

    def names(self, folder: str) -> list[str]:
        """The templates that lie in a folder, sorted; parts of others, ``NAME.part.j2``, are none."""
        found = self._environment.list_templates(
            filter_func=lambda name: name.startswith(f"{folder}/") and not name.endswith(".part.j2")
        )
        return sorted(found)

    def file(self, template: str, path: str | PurePosixPath, **values: Any) -> PlannedFile:
        """A file of a package."""
        return text_file(path, self.render(template, **values))


def _environment(folder: Path) -> Environment:
    with needs("package"):
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    environment = Environment(  # noqa: S701 -- code and Markdown, no HTML
        loader=FileSystemLoader([folder, SHARED]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["quoted"] = quoted
    environment.filters["float32"] = _float32
    environment.filters["milliseconds"] = _milliseconds
    return environment


def quoted(text: str) -> str:
    """A string literal of ASCII in double quotes, as Kotlin, C and Python read it; ``$`` escaped."""
    return json.dumps(text).replace("$", "\\u0024")


def _milliseconds(nanoseconds: float | None) -> str:
    from mobiledeploy.deploy.commands.tables import milliseconds

    return "" if nanoseconds is None else f"{milliseconds(nanoseconds)} ms"


def _float32(value: float) -> str:
    """The shortest literal that gives the same float32, as Kotlin and C write it."""
    import numpy as np

    return f"{np.float32(value)!s}f"
