"""What can go wrong with a history that is no fault of the user's file or of this machine."""

from __future__ import annotations

from mobiledeploy.errors import MobileDeployError


class HistoryUnavailableError(MobileDeployError):
    """The server does not answer or refuses, or another process keeps the file: exit code 8."""

    exit_code = 8
