"""``mobiledeploy models``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from mobiledeploy.deploy.commands.outcome import JsonOption, Outcome

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mobiledeploy.models import Listing

EXAMPLE = "mobiledeploy models"


def models(as_json: JsonOption = False) -> Outcome:
    """List the models that are known by name, and whether their weights are on this machine."""
    from mobiledeploy.models import DEFAULT_MODEL, catalogue

    listings = catalogue()
    data = {"default": DEFAULT_MODEL, "models": [asdict(item) for item in listings]}
    return Outcome(data, lambda: _render(listings, DEFAULT_MODEL), as_json)


def _render(listings: tuple[Listing, ...], default: str) -> RenderableType:
    from rich.console import Group

    from mobiledeploy.deploy.commands.tables import columns

    rows = [
        (
            f"{item.name} (default)" if item.name == default else item.name,
            item.description,
            "" if item.top1 is None else f"{item.top1:.1f}",
            _availability(item),
        )
        for item in listings
    ]
    return Group(columns(("model", "what it is", "top-1 %", "weights"), rows))


def _availability(item: Listing) -> str:
    if item.local:
        return "on this machine"
    return "downloaded when used" if item.weights else "give --weights"
