"""A project: what its ``deploy.toml`` says, and where its files are.  Importing it imports no pydantic."""

from __future__ import annotations

FILE = "deploy.toml"
# Commands that take from it what they are not told (see ``defaults``).
COMMANDS = frozenset(
    {
        *(
            "convert",
            "verify",
            "diagnose",
            "evaluate",
            "benchmark",
            "gate",
            "gate calibrate",
            "package",
            "sweep",
        ),
        "models cost",
    }
)
