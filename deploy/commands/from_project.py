"""Commands in a project: what the user leaves out, ``deploy.toml`` of the current folder gives."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from typer.core import TyperCommand, TyperGroup

from mobiledeploy.deploy.project import COMMANDS, FILE

# How the parser calls what it took from its map of defaults.
_FROM_MAP = "DEFAULT_MAP"


def _fill(command: Any, context: Any, arguments: list[str]) -> None:
    """Look at what the user gave, and put what the project says for the rest into the parser's defaults."""
    called = _called(context)
    if called not in COMMANDS or not Path(FILE).is_file():
        return
    given, rest, _ = command.make_parser(context).parse_args(args=list(arguments))
    given = {name: value for name, value in given.items() if value not in (None, (), [])}
    if "help" in given or (rest and isinstance(command, TyperGroup)):
        return
    from mobiledeploy.deploy.project.defaults import defaults_for
    from mobiledeploy.deploy.project.loading import load

    context.default_map = defaults_for(called, given, load(Path(FILE)))


def _called(context: Any) -> str:
    """Like ``gate calibrate``, without the program's own name."""
    above = _called(context.parent) if context.parent and context.parent.parent else ""
    return f"{above} {context.info_name}".lstrip()


def _tell(command: Any, context: Any) -> None:
    """One line of what was taken, but for what would be so without a project."""
    taken = [
        " ".join([*_option(param), _shown(value)])
        for param in command.params
        if getattr(context.get_parameter_source(param.name), "name", "") == _FROM_MAP
        and (value := context.params[param.name]) != param.default
    ]
    if taken:
        sys.stderr.write(f"{FILE}: {', '.join(taken)}\n")


def _option(param: Any) -> list[str]:
    """The long name of an option; arguments have none."""
    return [name for name in param.opts if name.startswith("--")][:1]


def _shown(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


class ProjectCommand(TyperCommand):
    """A command with a project's defaults."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse with them."""
        _fill(self, ctx, args)
        rest = super().parse_args(ctx, args)
        _tell(self, ctx)
        return rest


class ProjectGroup(TyperGroup):
    """A group that is a command itself, likewise."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse with them."""
        _fill(self, ctx, args)
        rest = super().parse_args(ctx, args)
        _tell(self, ctx)
        return rest
