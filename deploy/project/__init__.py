"""A project: what its ``deploy.toml`` says, and where its files are.  Importing it imports no pydantic."""

from __future__ import annotations

FILE = "deploy.toml"
