"""A report as one page that needs nothing but a browser."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobiledeploy import __version__
from mobiledeploy.deploy.report.layout import Report
from mobiledeploy.deploy.report.vega import theme
from mobiledeploy.runtimes.formats import needs

if TYPE_CHECKING:
    from markupsafe import Markup

_TEMPLATES = Path(__file__).parent / "templates"
_EXTRA = "report"


def page(report: Report) -> str:
    """The page: HTML, styles, scripts and data in one text; the same report gives the same text.

    Its policy lets no script run but its own two, and nothing be loaded from anywhere.

    Raises:
        EnvironmentProblem: Jinja2 or vl-convert is not on this machine.
    """
    with needs(_EXTRA):
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
        from markupsafe import Markup
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=False
    )
    style, script, library = _asset("page.css"), _asset("page.js"), _library()
    plots = {plot.name: plot.spec for section in report.sections for plot in section.plots}
    themes = {"light": theme(dark=False), "dark": theme(dark=True)}
    return environment.get_template("page.html.j2").render(
        report=report,
        policy=policy(library, script),
        # Ours, and no words of a device or a file in them.
        style=Markup(style),  # noqa: S704
        script=Markup(script),  # noqa: S704
        library=Markup(library),  # noqa: S704
        figures=_data(report.to_dict()),
        plots=_data({"plots": plots, "themes": themes}),
        version=__version__,
        vega=_vega_version(),
    )


def policy(*scripts: str) -> str:
    """What the page may do: run these scripts, have styles and pictures of its own; no network."""
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    sources = " ".join(f"'sha256-{digest}'" for digest in digests)
    rules = (
        "default-src 'none'",
        f"script-src {sources}",
        "style-src 'unsafe-inline'",
        "img-src data: blob:",
    )
    return "; ".join((*rules, "base-uri 'none'", "form-action 'none'"))


def _data(data: dict[str, Any]) -> Markup:
    """JSON inside a script element: nothing in it ends the element, or is a character of no encoding."""
    from markupsafe import Markup

    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return Markup(text)  # noqa: S704


def _asset(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


@cache
def _library() -> str:
    """Vega, Vega-Lite and Vega-Embed in one script, made once: it takes seconds."""
    with needs(_EXTRA):
        import vl_convert
    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return bundle


def _vega_version() -> str:
    import vl_convert

    version: str = vl_convert.get_vega_version()
    return version
