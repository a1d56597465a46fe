"""How a lab uses Dask: to be set before ``distributed`` is imported."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from mobiledeploy.device_tests.errors import one_line
from mobiledeploy.device_tests.lab.errors import no_dask
from mobiledeploy.errors import InputError

PACKAGES = ("mobiledeploy", "distributed")
LISTEN = "tcp://127.0.0.1:8786"
_ADDRESS = re.compile(
    r"(?P<protocol>tcp|tls)://(?P<host>\[[0-9a-fA-F:.%\w]+\]|[^\s:/\[\]]+):(?P<port>\d{1,5})"
)
_HIGHEST_PORT = 65535
_SETTINGS: Mapping[str, Any] = {
    # What a process does while it has nothing to do falls into what is measured on this host.
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.tick.cycle": "10s",
    "distributed.admin.system-monitor.interval": "10s",
    # Runners inherit the environment, and are to have the host's own.
    "distributed.nanny.environ": {},
    # Each run has its device already.
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    # A model is no large graph.
    "distributed.admin.large-graph-warning-threshold": "1GB",
}


def configure(logging: str = "critical") -> None:
    """Make Dask's settings those of a lab; the user's own (certificates, time-outs) hold beside them.

    Args:
        logging: what its own log on stderr says; an error that concerns a run is told by that run.

    Raises:
        EnvironmentProblem: Dask is not installed.
    """
    try:
        import dask.config
    except ImportError as error:
        raise no_dask() from error
    loggers = dict.fromkeys(("distributed", "distributed.client", "distributed.worker", "tornado"), logging)
    # A worker's process sets its log up before it is told of settings, from its environment.
    environment = {"DASK_LOGGING__DISTRIBUTED": logging}
    dask.config.set({**_SETTINGS, "logging": loggers, "distributed.nanny.pre-spawn-environ": environment})
    try:
        import distributed  # noqa: F401
    except ImportError as error:
        raise no_dask() from error


def versions() -> dict[str, str]:
    """What has to be the same on every host of a lab: package -> version."""
    return {name: metadata.version(name) for name in PACKAGES}


def split_address(address: str, option: str) -> tuple[str, str, int]:
    """``tcp://10.0.0.5:8786`` as protocol, host and port.

    Args:
        address: as the user wrote it.
        option: where, for messages.

    Raises:
        InputError: it is no such address.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None or int(match["port"]) > _HIGHEST_PORT:
        raise InputError(
            f"{one_line(address)!r} is no address of a scheduler",
            where=option,
            hint="Write it like tcp://HOST:8786, or tls:// with certificates",
        )
    return match["protocol"], match["host"].strip("[]"), int(match["port"])
