"""What goes wrong with a lab itself; what goes wrong with its devices is in ``device_tests.errors``."""

from __future__ import annotations

from mobiledeploy.errors import EnvironmentProblem, MobileDeployError


class LabUnavailableError(MobileDeployError):
    """The lab's scheduler does not answer, has gone, or its devices stay in use: exit code 8."""

    exit_code = 8


def no_dask() -> EnvironmentProblem:
    """``distributed`` is not installed."""
    return EnvironmentProblem(
        "a lab needs the package distributed", where="lab", hint="pip install 'mobiledeploy[lab]'"
    )
