"""``mobiledeploy lab scheduler | worker | status``."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import typer

from mobiledeploy.deploy.commands.outcome import JsonOption, Outcome
from mobiledeploy.deploy.progress import announcer

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mobiledeploy.device_tests.device_file import Entry
    from mobiledeploy.device_tests.lab.leases import Seen

HELP = "Devices on several hosts, shared by a team: a scheduler, workers that offer devices, who uses what."
SCHEDULER_EXAMPLE = "mobiledeploy lab scheduler --listen tcp://10.0.0.5:8786"
WORKER_EXAMPLE = "mobiledeploy lab worker --scheduler tcp://10.0.0.5:8786 --host lab1"
STATUS_EXAMPLE = "mobiledeploy lab status --scheduler tcp://10.0.0.5:8786"
# Dask's own words about what goes wrong, for a service's log.
LOGGING = "error"

Scheduler = Annotated[
    str, typer.Option("--scheduler", metavar="ADDRESS", help="The lab's, like tcp://10.0.0.5:8786.")
]


def scheduler(
    listen: Annotated[
        str,
        typer.Option(
            "--listen",
            metavar="ADDRESS",
            help="tcp://HOST:PORT, or tls://; whoever reaches it runs code on the lab's hosts.",
        ),
    ] = "tcp://127.0.0.1:8786",
    lease: Annotated[
        float,
        typer.Option("--lease", min=1.0, metavar="S", help="Seconds a lease holds without a sign of life."),
    ] = 60.0,
    as_json: JsonOption = False,
) -> Outcome:
    """Keep a lab's devices and leases, until SIGINT or SIGTERM."""
    from mobiledeploy.device_tests.lab.settings import configure

    configure(LOGGING)
    from mobiledeploy.device_tests.lab.hosts import serve_scheduler

    with announcer() as announce:
        serve_scheduler(listen, lease, announce)
    return Outcome({"listen": listen}, lambda: "lab: ended", as_json)


def worker(
    scheduler: Scheduler,
    devices: Annotated[
        list[str] | None, typer.Argument(metavar="[DEVICE...]", help="Names of devices.toml; all if none.")
    ] = None,
    host: Annotated[
        str | None,
        typer.Option("--host", metavar="NAME", help="This host in devices.toml; else its own name."),
    ] = None,
    cores: Annotated[
        int | None,
        typer.Option(
            "--cores",
            min=0,
            metavar="N",
            help="Processes that convert for sweeps; by default all cores, or none beside a local device.",
        ),
    ] = None,
    history: Annotated[
        str | None,
        typer.Option("--history", metavar="URL|FILE", help="Store each run here too, before it travels."),
    ] = None,
    as_json: JsonOption = False,
) -> Outcome:
    """Offer the devices and cores of this host to a lab, until SIGINT or SIGTERM."""
    from mobiledeploy.device_tests.lab.runs import devices_of
    from mobiledeploy.device_tests.lab.settings import configure

    configure(LOGGING)
    from mobiledeploy.device_tests.lab.hosts import Host, serve_host

    name = host or socket.gethostname()
    entries = devices_of(name, devices or (), may_lack=bool(cores))
    offered = Host(name, tuple(entries), _cores(entries) if cores is None else cores, history)
    if history:
        from mobiledeploy.device_tests.history import open_history

        # What is wrong with it is told now, not after the first run.
        open_history(history).close()
    with announcer() as announce:
        serve_host(scheduler, offered, announce)
    data = {"host": name, "devices": [entry.name for entry in entries], "cores": offered.cores}
    return Outcome(data, lambda: f"{name}: ended", as_json)


def _cores(entries: Sequence[Entry]) -> int:
    """All, where files can be made and nothing measures this host itself."""
    from mobiledeploy.device_tests.references import of_entry
    from mobiledeploy.parallel import usable_cores

    measured = any(of_entry(entry).kind == "local" for entry in entries)
    return 0 if measured or find_spec("torch") is None else usable_cores()


def status(scheduler: Scheduler, as_json: JsonOption = False) -> Outcome:
    """Say which devices a lab has, and who uses each, since when."""
    from mobiledeploy.device_tests.lab.settings import configure

    configure()
    from mobiledeploy.device_tests.lab.client import open_lab

    with open_lab(scheduler) as lab:
        seen, cores, where = lab.seen(), lab.cores(), lab.where
    data = {"scheduler": where, "devices": [asdict(row) for row in seen], "cores": cores}
    return Outcome(data, lambda: _render(seen, cores), as_json)


COMMANDS = (
    ("scheduler", scheduler, SCHEDULER_EXAMPLE),
    ("worker", worker, WORKER_EXAMPLE),
    ("status", status, STATUS_EXAMPLE),
)


def _render(seen: Sequence[Seen], cores: Mapping[str, int]) -> RenderableType:
    from rich.console import Group

    from mobiledeploy.deploy.commands.tables import columns, pairs

    rows = [
        (
            row.offer.device,
            row.offer.kind or "-",
            row.offer.host,
            row.offer.reference,
            row.state,
            str(row.owner or "-"),
            row.said or "-",
        )
        for row in seen
    ]
    table = columns(("device", "kind", "host", "what it is", "state", "in use by", "how far"), rows)
    none = "no devices: start `mobiledeploy lab worker` where they are"
    converting = ", ".join(f"{host} {count}" for host, count in cores.items())
    return Group(table if rows else none, pairs([("cores", converting)]))
