"""What a test needs of this machine: where CI is set it has to be there, elsewhere the test skips."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def needs(here: object, reason: str) -> pytest.MarkDecorator:
    """For a test, or for ``pytestmark``; in CI it runs and fails.

    Args:
        here: whether what it needs is.
        reason: why it is skipped, and how to get it.
    """
    return pytest.mark.skipif(not here and not os.environ.get("CI"), reason=reason)


def lacks(reason: str) -> NoReturn:
    """Inside a test or a fixture.

    Args:
        reason: what is not there, and how to get it.
    """
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
