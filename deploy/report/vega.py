"""What all plots have in common: Vega-Lite as plain data (https://vega.github.io/vega-lite/)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Spec = dict[str, Any]
Values = Iterable[Mapping[str, Any]]
SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
# Between the largest and the least value: from here on small ones would lie on each other.
_WIDE = 12.0
# Okabe and Ito's colours, which the colour-blind tell apart; the last one for each background.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a8a00")
_DARK = ("#4fa8e0", "#ff8c42", "#2fc79a", "#e29cc4", "#f2b632", "#8fd0f5", "#c2c24a")
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"
_ROW = 52
# Rows of one plot: more are for a table.
MOST_ROWS = 24


def theme(dark: bool) -> Spec:
    """Vega-Lite's ``config`` for one of the two backgrounds."""
    text, soft, grid = ("#e6e6e6", "#b4b4b4", "#3c4043") if dark else ("#222222", "#555555", "#dddddd")
    back = "#1b1d20" if dark else "#ffffff"
    colours = [*(_DARK if dark else _COLOURS), soft]
    return {
        "background": back,
        "font": _FONT,
        "view": {"stroke": None},
        "axis": {
            "labelColor": text,
            "titleColor": text,
            "titleFontWeight": "normal",
            "labelFontSize": 12,
            "titleFontSize": 12,
            "domainColor": soft,
            "tickColor": soft,
            "gridColor": grid,
        },
        "legend": {
            "labelColor": text,
            "titleColor": text,
            "labelFontSize": 12,
            "titleFontWeight": "normal",
            "labelLimit": 280,
            "orient": "top",
            "direction": "vertical",
            "title": None,
        },
        "text": {"color": text, "fontSize": 12},
        "rule": {"color": soft},
        "line": {"color": soft},
        "range": {"category": colours},
        "style": {
            "soft": {"color": soft, "stroke": soft},
            "strong": {"color": text, "stroke": text},
            "halo": {"stroke": back, "strokeWidth": 5, "strokeJoin": "round"},
        },
    }


def spec(values: Values, layers: Sequence[Spec], **rest: Any) -> Spec:
    """Layers over the same data, as wide as their place."""
    whole = {"$schema": SCHEMA, "data": {"values": list(values)}, "layer": list(layers)}
    return {**whole, "width": "container", "autosize": {"type": "fit-x", "contains": "padding"}, **rest}


def layer(mark: str, encoding: Spec, **mark_options: Any) -> Spec:
    """One layer: ``only`` is a condition on the data, the other options are the mark's."""
    only = mark_options.pop("only", None)
    made: Spec = {"mark": {"type": mark, **mark_options}, "encoding": encoding}
    return {**made, "transform": [{"filter": only}]} if only else made


def number(field: str, title: str, values: Iterable[float], **rest: Any) -> Spec:
    """A position on an axis without a zero; logarithmic where values differ much."""
    known = [value for value in values if value > 0]
    wide = bool(known) and max(known) / min(known) > _WIDE
    scale: Spec = {"type": "log", "nice": False, "padding": 12} if wide else {"zero": False, "padding": 12}
    scale |= rest.pop("scale", {})
    axis = {
        "tickCount": 6,
        "labelOverlap": True,
        **({"format": "~g"} if wide else {}),
        **rest.pop("axis", {}),
    }
    return {"field": field, "type": "quantitative", "title": title, "scale": scale, "axis": axis, **rest}


def rows(count: int) -> Spec:
    """Height of a plot with so many rows, their words above them."""
    return {"height": _ROW * count}


def left_out(count: int, where: str) -> list[str]:
    """What to say of so many rows, of which a plot has the first."""
    return [f"{where}: the first {MOST_ROWS} of {count} are drawn."] if count > MOST_ROWS else []


def row() -> Spec:
    """The row of a datum: its ``row``, from the top."""
    return {"field": "row", "type": "ordinal", "axis": None, "scale": {"paddingInner": 0}}


def row_words(y: Spec) -> list[Spec]:
    """The words of each row, cut to its width: ``words`` of the data where ``first`` is true."""
    encoding = {"y": y, "x": {"value": 0}, "text": {"field": "words"}}
    place = {"align": "left", "baseline": "middle", "yOffset": -17, "limit": {"expr": "width"}}
    halo = layer("text", encoding, only="datum.first", **place, style="halo")
    return [halo, layer("text", encoding, only="datum.first", **place)]


def tooltip(**fields: str) -> list[Spec]:
    """What is shown under the pointer: field -> its name."""
    return [{"field": field, "title": title.replace("_", " ")} for field, title in fields.items()]


def rounded(value: float) -> float:
    """Six digits: more are not seen, and make the page long."""
    return float(f"{value:.6g}")
