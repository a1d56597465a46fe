"""The command line: options in, one result or one clear line of error out."""

from __future__ import annotations

import functools
import json
import os
import sys
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import Annotated, Any

import typer

from mobiledeploy import __version__
from mobiledeploy.deploy.commands import (
    benchmark,
    convert,
    devices,
    diagnose,
    doctor,
    evaluate,
    gate,
    history,
    init,
    inspect,
    lab,
    models,
    package,
    report,
    run,
    sweep,
    train,
    verify,
)
from mobiledeploy.deploy.commands.from_project import ProjectCommand, ProjectGroup
from mobiledeploy.deploy.commands.outcome import INTERRUPTED, Lines, Outcome, to_json
from mobiledeploy.deploy.failures import describe, describe_defect
from mobiledeploy.errors import MobileDeployError

EXIT_CODES = (
    "Exit codes: 0 done, 1 defect in mobiledeploy, 2 wrong usage, 3 bad input, 4 not supported, "
    "5 verification failed, 6 something is missing on this machine, 7 cannot write, "
    "8 a device, the history's server or a lab fails, 9 a gate fails, 10 a gate is inconclusive, "
    "130 interrupted."
)
# The parser's own error class: public under no name of its own, and the base of one that is.
UsageError: type[Exception] = typer.BadParameter.__bases__[0]

app = typer.Typer(
    name="mobiledeploy",
    help="Trained MobileNets from PyTorch to verified TFLite, ONNX and Core ML files.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mobiledeploy {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def _add(
    command: Callable[..., Outcome], example: str, group: typer.Typer = app, name: str | None = None
) -> None:
    group.command(name, cls=ProjectCommand, epilog=_epilog(example))(_quietly(command))


def _quietly(command: Callable[..., Outcome]) -> Callable[..., Outcome]:
    """The same, with what libraries print kept out of the result on stdout."""

    @functools.wraps(command)
    def quietly(*arguments: Any, **options: Any) -> Outcome:
        with redirect_stdout(sys.stderr):
            return command(*arguments, **options)

    return quietly


def _epilog(example: str) -> str:
    return f"\b\nExample:\n  {example}\n\n{EXIT_CODES}"


def _add_group(name: str, about: str, commands: tuple[tuple[str, Callable[..., Outcome], str], ...]) -> None:
    group = typer.Typer(help=about, epilog=EXIT_CODES, no_args_is_help=True, rich_markup_mode=None)
    for called, command, example in commands:
        _add(command, example, group, called)
    app.add_typer(group, name=name)


def _add_command_and_group(
    name: str,
    about: str,
    own: tuple[Callable[..., Outcome], str],
    commands: tuple[tuple[str, Callable[..., Outcome], str], ...],
) -> None:
    """A group that is a command itself: ``gate``, and ``gate calibrate`` below it."""
    function, example = own
    group = typer.Typer(cls=ProjectGroup, help=about, epilog=_epilog(example), rich_markup_mode=None)
    command = _quietly(function)

    @functools.wraps(function)
    def unless_below(context: typer.Context, **options: Any) -> Outcome | None:
        return None if context.invoked_subcommand else command(context, **options)

    group.callback(invoke_without_command=True)(unless_below)
    for called, below, its_example in commands:
        _add(below, its_example, group, called)
    app.add_typer(group, name=name)


_add(init.init, init.EXAMPLE)
_add(run.run, run.EXAMPLE)
_add(train.train, train.EXAMPLE)
_add(convert.convert, convert.EXAMPLE)
_add(inspect.inspect, inspect.EXAMPLE)
_add(verify.verify, verify.EXAMPLE)
_add(diagnose.diagnose, diagnose.EXAMPLE)
_add(evaluate.evaluate, evaluate.EXAMPLE)
_add(benchmark.benchmark, benchmark.EXAMPLE)
_add_command_and_group(
    "gate", gate.HELP, (gate.gate, gate.EXAMPLE), (("calibrate", gate.calibrate, gate.CALIBRATE_EXAMPLE),)
)
_add(sweep.sweep, sweep.EXAMPLE)
_add(package.package, package.EXAMPLE)
_add_command_and_group("models", models.HELP, (models.models, models.EXAMPLE), models.COMMANDS)
_add(doctor.doctor, doctor.EXAMPLE)
_add_group("devices", devices.HELP, devices.COMMANDS)
_add_group("history", history.HELP, history.COMMANDS)
_add(report.report, report.EXAMPLE)
_add_group("lab", lab.HELP, lab.COMMANDS)


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: without the program's name; None: those of the process.

    Returns:
        The exit code (see ``docs/exit-codes.md``).
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    as_json = "--json" in arguments
    debug = bool(os.environ.get("MOBILEDEPLOY_DEBUG"))
    if not debug:
        # Neither is about this command: what libraries say of their versions, and of objects they leave.
        warnings.simplefilter("ignore")
        sys.unraisablehook = _ignore
    try:
        return _run(arguments)
    except (KeyboardInterrupt, typer.Abort):
        return _fail(as_json, {"message": "interrupted", "exit_code": INTERRUPTED})
    except BrokenPipeError:
        # The reader of stdout has gone; nothing more can be said to it, at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except UsageError as error:
        return _fail_usage(as_json, error)
    except MobileDeployError as error:
        if debug:
            raise
        return _fail(as_json, describe(error))
    except Exception as error:
        if debug:
            raise
        return _fail(as_json, describe_defect(error))


def _ignore(_: object) -> None:
    pass


def _run(arguments: list[str]) -> int:
    result = app(arguments, standalone_mode=False)
    if not isinstance(result, Outcome):
        # Help and version print for themselves and leave an exit code, 130 after an interrupt.
        if result == INTERRUPTED:
            raise KeyboardInterrupt
        return int(result or 0)
    if result.as_json:
        sys.stdout.write(to_json(result.data) + "\n")
        sys.stdout.flush()
    elif isinstance(text := result.text(), Lines):
        sys.stdout.writelines(text.lines)
        sys.stdout.flush()
    else:
        from rich.console import Console

        Console(highlight=False).print(text)
    return result.exit_code


def _fail(as_json: bool, described: dict[str, Any]) -> int:
    sys.stderr.write(f"error: {described['message']}\n")
    _print_error(as_json, described)
    return int(described["exit_code"])


def _fail_usage(as_json: bool, error: Any) -> int:
    error.show()
    described = {"kind": "UsageError", "message": error.format_message(), "exit_code": error.exit_code}
    _print_error(as_json, described)
    return int(error.exit_code)


def _print_error(as_json: bool, described: dict[str, Any]) -> None:
    if as_json:
        sys.stdout.write(json.dumps({"error": described}, ensure_ascii=False) + "\n")
