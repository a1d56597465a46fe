"""The commit of the project that is being measured, if there is one."""

from __future__ import annotations

import os
import re
import subprocess

# What build servers call the commit they build.
VARIABLES = ("GITHUB_SHA", "CI_COMMIT_SHA", "GIT_COMMIT", "BUILD_SOURCEVERSION", "CIRCLE_SHA1")
_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_TIMEOUT = 5.0


def find_commit() -> str | None:
    """By the build server's variable, else of the current folder's repository; None: neither says."""
    for name in VARIABLES:
        if _COMMIT.fullmatch(found := os.environ.get(name, "").strip().lower()):
            return found
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--verify", "HEAD"],  # noqa: S607
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    found = done.stdout.strip()
    return found if done.returncode == 0 and _COMMIT.fullmatch(found) else None
