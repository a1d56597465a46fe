"""``deploy.toml`` from a file to frozen settings; what is wrong is told with its line."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobiledeploy.deploy.project.lines import Key, existing, line_of
from mobiledeploy.errors import InputError
from mobiledeploy.runtimes.formats import needs

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from mobiledeploy.deploy.project.schema import Settings
    from mobiledeploy.device_tests.gate import Gate

GATES = "gates"
# What ``max-regression`` may say in place of a share.
REGRESSION, CALIBRATED = "max-regression", "calibrated"
_NOT_LIMITS = frozenset({"baseline", "time-limit", "reports"})
_DICTIONARY = re.compile(r"a valid dictionary.*")
_AT = re.compile(r" \(at (?:line (?P<line>\d+), column \d+|end of document)\)$")


@dataclass(frozen=True, slots=True)
class Project:
    """A file that was read and found right.

    Attributes:
        file: as the user named it.
        text: of the file.
        settings: what it says.
        limits: of its gates, but for a tolerance that is calibrated.
        calibrated: whether ``max-regression`` is what each device's calibration says.
    """

    file: Path
    text: str
    settings: Settings
    limits: tuple[Gate, ...]
    calibrated: bool

    @property
    def root(self) -> Path:
        """The folder that paths are relative to."""
        return self.file.parent

    def with_lab(self, scheduler: str | None, wait: float | None) -> Project:
        """The same with another lab, or another time to wait there; None: as it is."""
        said = {"scheduler": scheduler, "wait": wait}
        update = {key: value for key, value in said.items() if value is not None}
        measure = self.settings.measure.model_copy(update=update)
        return replace(self, settings=self.settings.model_copy(update={"measure": measure}))

    def where(self, *path: Key) -> str:
        """File and line of a key, for messages."""
        return _where(self.file, self.text, path)


def load(file: Path) -> Project:
    """Read and check a project file.

    Raises:
        InputError: it cannot be read, is no TOML, has an unknown key (names the nearest), a wrong value, or a
            path that leaves the project.
        EnvironmentProblem: pydantic is not installed.
    """
    return parse(file, _read(file))


def parse(file: Path, text: str) -> Project:
    """``load`` of a text that is, or will be, in a file."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _no_toml(file, text, error) from error
    with needs("all"):
        from pydantic import ValidationError

        from mobiledeploy.deploy.project.schema import Settings, json_schema
    try:
        settings = Settings.model_validate(_frozen(data))
    except ValidationError as error:
        raise _first(error.errors(), _Source(file, text, data, json_schema())) from None
    table = data.get(GATES, {})
    calibrated = table.get(REGRESSION) == CALIBRATED
    limits = _limits({key: table[key] for key in table if not (calibrated and key == REGRESSION)}, file, text)
    return Project(file, text, settings, limits, calibrated)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        hint = (
            "Write one with `mobiledeploy init`" if isinstance(error, FileNotFoundError) else "Check the path"
        )
        raise InputError(f"cannot be read ({error.strerror})", where=str(file), hint=hint) from error
    except UnicodeDecodeError as error:
        raise InputError("this is no TOML (it is not UTF-8)", where=str(file), hint="Correct it") from error


def _no_toml(file: Path, text: str, error: tomllib.TOMLDecodeError) -> InputError:
    match = _AT.search(str(error))
    line = (match and match["line"]) or str(text.count("\n") + 1)
    problem = _AT.sub("", str(error))
    return InputError(f"this is no TOML ({problem})", where=f"{file}, line {line}", hint="Correct it")


def _frozen(value: Any) -> Any:
    """Lists as tuples, which is what frozen settings hold."""
    if isinstance(value, dict):
        return {key: _frozen(item) for key, item in value.items()}
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _where(file: Path, text: str, path: Sequence[Key]) -> str:
    line = line_of(text, path)
    return str(file) if line is None else f"{file}, line {line}"


@dataclass(frozen=True, slots=True)
class _Source:
    """A file that has something wrong in it, and what may stand there."""

    file: Path
    text: str
    data: Mapping[str, Any]
    schema: Mapping[str, Any]


def _first(found: Sequence[ErrorDetails], source: _Source) -> InputError:
    """The one on the first line; of the alternatives of a value, the one that goes deepest into it."""
    # pydantic's places also name the alternatives of a union.
    paths = [existing(source.data, [key for key in item["loc"] if key != "Preprocessing"]) for item in found]
    rough = {path[:end] for path in paths for end in range(len(path))}
    problems = [
        (line_of(source.text, path) or 0, item, path)
        for item, path in zip(found, paths, strict=True)
        if path not in rough
    ]
    _, item, path = min(problems, key=lambda problem: problem[0])
    what, hint = _describe(item, path, source.schema)
    return InputError(what, where=_where(source.file, source.text, path), hint=hint)


def _describe(item: ErrorDetails, path: Sequence[Key], schema: Mapping[str, Any]) -> tuple[str, str]:
    """What is wrong, and what to do."""
    if item["type"] == "extra_forbidden":
        return f"unknown key {str(path[-1])!r}", _nearest(path, schema)
    name = _dotted(path)
    if isinstance(cause := item.get("ctx", {}).get("error"), ValueError):
        return f"{name}: {cause}", ""
    said = _DICTIONARY.sub("a table", item["msg"].removeprefix("Input should be "))
    said = said.replace("tuple", "list").replace("string", "text")
    return f"{name} is {_shown(item['input'])}, and should be {said}", "Correct it"


def _shown(value: object) -> str:
    text = repr(list(value) if isinstance(value, tuple) else value)
    return "a table" if isinstance(value, dict) else text if len(text) <= 60 else f"{text[:60]}..."


def _dotted(path: Sequence[Key]) -> str:
    return ".".join(str(key) for key in path)


def _nearest(path: Sequence[Key], schema: Mapping[str, Any]) -> str:
    """What an unknown key was meant to be: one of the same table, else of any table."""
    known = dict(_keys(schema, schema, ()))
    table, key = tuple(path[:-1]), str(path[-1])
    beside = [keys[-1] for keys in known if keys[:-1] == table]
    elsewhere = {keys[-1]: _dotted(keys) for keys in known}
    if key not in elsewhere and (near := difflib.get_close_matches(key.replace("_", "-"), beside, 1)):
        return f"Did you mean {near[0]}?"
    if near := difflib.get_close_matches(key.replace("_", "-"), elsewhere, 1, 0.8):
        return f"Did you mean {elsewhere[near[0]]}?"
    return f"Known: {', '.join(beside)}"


def _keys(
    schema: Mapping[str, Any], node: Mapping[str, Any], path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], None]]:
    """Every key that the schema knows, with those of the tables around it."""
    for part in (node, *node.get("anyOf", ()), *node.get("allOf", ())):
        if "$ref" in part:
            yield from _keys(schema, schema["$defs"][part["$ref"].rpartition("/")[2]], path)
        for name, below in part.get("properties", {}).items():
            yield (*path, name), None
            yield from _keys(schema, below, (*path, name))


def _limits(table: Mapping[str, object], file: Path, text: str) -> tuple[Gate, ...]:
    from mobiledeploy.device_tests.gate import gates_from_table

    try:
        return gates_from_table({key: table[key] for key in table if key not in _NOT_LIMITS}, str(file))
    except InputError as error:
        name = error.where.rpartition("gates.")[2]
        error.where = _where(file, text, (GATES, name))
        raise InputError(f"{GATES}.{name}: {error.what}", where=error.where, hint=error.hint) from error
