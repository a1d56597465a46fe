"""Runs the steps of CI files as the CI does."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from checkout import ROOT

EXPRESSION = re.compile(r"\$\{\{\s*([^}]*?)\s*\}\}")
# GitHub's own for `shell: bash`, and for a workflow's steps without a shell.
BASH, PLAIN = ("bash", "--noprofile", "--norc", "-eo", "pipefail"), ("bash", "-e")


@dataclass(frozen=True)
class Job:
    """One job.

    Attributes:
        project: the checkout.
        runner: for the runner's own files.
        environment: of each step.
        source: where GitHub has put the action.
    """

    project: Path
    runner: Path
    environment: Mapping[str, str]
    source: Path = ROOT

    def script(
        self, text: str, shell: tuple[str, ...] = BASH, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a script in the checkout; what it printed and how it ended."""
        file = self.runner / "script.sh"
        file.write_text(text)
        return subprocess.run(
            [*shell, str(file)],
            cwd=self.project,
            env={**self.environment, **(environment or {})},
            capture_output=True,
            text=True,
            check=False,
        )

    def action(self, **given: str) -> tuple[subprocess.CompletedProcess[str], dict[str, str]]:
        """Run ``action.yml`` with these inputs (``_`` for ``-``); the last step, and the action's outputs."""
        action = load(ROOT / "action.yml")
        inputs = {name: str(item.get("default", "")) for name, item in action["inputs"].items()}
        named = {name.replace("_", "-"): value for name, value in given.items()}
        assert set(named) <= set(inputs)
        context = {f"inputs.{name}": value for name, value in {**inputs, **named}.items()}
        context["github.action_path"] = str(self.source)
        for step in action["runs"]["steps"]:
            assert step["shell"] == "bash"
            output = self.runner / "output"
            output.write_text("")
            more = {name: expand(text, context) for name, text in step["env"].items()}
            added = self.runner / "path"
            folders = added.read_text().splitlines() if added.exists() else []
            more["PATH"] = os.pathsep.join([*reversed(folders), self.environment["PATH"]])
            done = self.script(step["run"], BASH, {**more, **self._github(), "GITHUB_OUTPUT": str(output)})
            for line in output.read_text().splitlines():
                name, _, value = line.partition("=")
                context[f"steps.{step['id']}.outputs.{name}"] = value
            if done.returncode:
                break
        return done, {name: expand(item["value"], context) for name, item in action["outputs"].items()}

    def _github(self) -> dict[str, str]:
        return {
            "GITHUB_ACTIONS": "true",
            "GITHUB_PATH": str(self.runner / "path"),
            "GITHUB_STEP_SUMMARY": str(self.runner / "summary.md"),
        }


def expand(text: str, context: Mapping[str, str]) -> str:
    """The text with its expressions replaced; what GitHub does not know is empty."""
    return EXPRESSION.sub(lambda match: context.get(match[1], ""), text)


def load(file: Path) -> dict[Any, Any]:
    """A YAML file."""
    data: dict[Any, Any] = yaml.safe_load(file.read_text())
    return data
