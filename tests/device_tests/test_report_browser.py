"""The page in a real browser: at a desk and on a phone, light and dark, from a file."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from example_history import HOSTILE, diagnosis_file, gate_file, make_history
from needed import needs
from playwright.sync_api import Browser, Page, sync_playwright

from mobiledeploy.deploy.cli import main

CHROMIUM = shutil.which("chromium")
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
MOST_BYTES = 5_000_000

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    needs(CHROMIUM, "needs Debian's Chromium: make browser"),
    pytest.mark.timeout(600),
]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a history with hostile names, a diagnosis and a gate."""
    folder = tmp_path_factory.mktemp("browser")
    make_history(folder / "h.db")
    given = [
        "--diagnosis",
        str(diagnosis_file(folder / "d.json")),
        "--gate",
        str(gate_file(folder / "g.json")),
    ]
    page = folder / "report.html"
    assert (
        main(["report", "--history", str(folder / "h.db"), "-o", str(page), "--title", HOSTILE, *given]) == 0
    )
    return page


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # Root has no sandbox; the page is ours.
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


def _open(browser: Browser, report: Path, viewport: Any, scheme: Any = "light") -> tuple[Page, list[str]]:
    """The drawn page, and what went wrong in it so far and from here on."""
    page = browser.new_page(viewport=viewport, color_scheme=scheme)
    page.set_default_timeout(120_000)
    trouble: list[str] = []
    page.on("console", lambda message: trouble.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: trouble.append(f"error: {error}"))
    page.on("dialog", lambda dialog: (trouble.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    address = report.as_uri()
    page.on("request", lambda request: request.url == address or trouble.append(f"request: {request.url}"))
    page.goto(address)
    page.wait_for_selector("html[data-drawn]")
    return page, trouble


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_every_plot_is_there(browser: Browser, report: Path, viewport: Any, scheme: str) -> None:
    assert report.stat().st_size < MOST_BYTES
    page, trouble = _open(browser, report, viewport, scheme)
    plots = page.locator("[data-plot]")
    assert plots.count() >= 12
    for index in range(plots.count()):
        plot = plots.nth(index)
        box = plot.locator("svg.marks").bounding_box()
        assert box, plot.get_attribute("data-plot")
        assert box["width"] > 200
        assert box["x"] + box["width"] <= viewport["width"]
        assert plot.locator("svg.marks [role='graphics-symbol']").count() > 0
    # Tables scroll in their place, the page does not.
    width = page.evaluate_handle("document.documentElement").get_property("scrollWidth").json_value()
    assert width == viewport["width"]
    assert page.locator("html").get_attribute("data-drawn") == scheme
    assert trouble == []
    page.close()


def test_colours_follow_the_system(browser: Browser, report: Path) -> None:
    page, trouble = _open(browser, report, DESK)
    body = page.locator("body")
    assert body.evaluate("item => getComputedStyle(item).backgroundColor") == "rgb(255, 255, 255)"
    page.emulate_media(color_scheme="dark")
    page.wait_for_selector("html[data-drawn=dark]")
    assert body.evaluate("item => getComputedStyle(item).backgroundColor") == "rgb(27, 29, 32)"
    texts = page.locator("[data-plot] svg.marks text").first
    assert texts.evaluate("item => item.getAttribute('fill')") == "#e6e6e6"
    assert trouble == []
    page.close()


def test_tables_sort_and_lead_to_runs(browser: Browser, report: Path) -> None:
    page, trouble = _open(browser, report, PHONE)
    table = page.locator("[data-table=files]")
    heads = table.locator("th").all_inner_texts()
    place = heads.index("median, ms") + 1

    def shown() -> list[float]:
        texts = table.locator(f"tbody tr td:nth-child({place})").all_inner_texts()
        # What is not known comes last.
        assert "" not in texts[: len([text for text in texts if text])]
        return [float(text) for text in texts if text]

    button = table.locator("th button").nth(place - 1)
    button.click()
    assert shown() == sorted(shown())
    assert table.locator("th").nth(place - 1).get_attribute("aria-sort") == "ascending"
    button.click()
    assert shown() == sorted(shown(), reverse=True)
    table.locator("th button").nth(heads.index("file")).click()
    assert table.locator("th[aria-sort]").all_inner_texts() == ["file"]
    link = page.locator("[data-table=latency] a").first
    target = (link.get_attribute("href") or "")[1:]
    link.click()
    page.wait_for_selector(f"details[id='{target}'][open]")
    assert trouble == []
    page.close()


def test_downloads(browser: Browser, report: Path) -> None:
    page, _ = _open(browser, report, DESK)
    with page.expect_download() as download:
        page.locator("[data-csv=runs]").click()
    rows = list(csv.reader(io.StringIO(download.value.path().read_text(encoding="utf-8"))))
    assert rows[0][0] == "run"
    assert {len(row) for row in rows} == {len(rows[0])}
    # Not a formula to a spreadsheet.
    assert f"'{HOSTILE}" in {row[rows[0].index("file")] for row in rows}
    with page.expect_download() as download:
        page.locator("[data-json]").click()
    data = json.loads(download.value.path().read_text(encoding="utf-8"))
    assert data["title"] == HOSTILE
    assert len(data["runs"]) == len(rows) - 1
    page.close()
