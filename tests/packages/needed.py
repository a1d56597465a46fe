"""Programs that a test needs: where CI is set they have to be there, elsewhere the test skips."""

from __future__ import annotations

import os
import shutil

import pytest


def needs(here: bool, reason: str) -> pytest.MarkDecorator:
    """For a test, or for ``pytestmark``; in CI it runs and fails."""
    return pytest.mark.skipif(not here and not os.environ.get("CI"), reason=reason)


def need_npm() -> None:
    """Inside a test or a fixture."""
    if shutil.which("npm") is None and not os.environ.get("CI"):
        pytest.skip("needs npm: make android-tools")
