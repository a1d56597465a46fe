"""Every form of a report of a made history: what is in it, and that no name gets out of its place."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from example_history import DAYS, FLOAT, HOSTILE, INT8, SLOWER, diagnosis_file, gate_file, make_history
from example_runs import accuracy_run, latency_run

from mobiledeploy.deploy.report import page as page_module
from mobiledeploy.deploy.report.build import build
from mobiledeploy.deploy.report.collect import SHOWN, collect, spread
from mobiledeploy.deploy.report.given import FileCost, Given, read_given
from mobiledeploy.deploy.report.layout import Report, Table
from mobiledeploy.deploy.report.markdown import markdown
from mobiledeploy.deploy.report.page import page
from mobiledeploy.deploy.report.sections import SECTIONS
from mobiledeploy.device_tests.accuracy_run import AccuracyRun
from mobiledeploy.device_tests.history import Filter, open_history
from mobiledeploy.device_tests.tasks.tagging import TagPrediction
from mobiledeploy.errors import InputError

COSTS = (
    FileCost("net.tflite", FLOAT, 4_000_000, "float32", 41_000_000, 470_000),
    FileCost("net_int8.tflite", INT8, 1_000_000, "full-integer", 41_000_000, 470_000),
)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("report") / "history.db"
    make_history(file)
    return file


@pytest.fixture(scope="module")
def report(history: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = tmp_path_factory.mktemp("given")
    read = read_given((), [diagnosis_file(folder / "d.json")], [gate_file(folder / "g.json")])
    return _build(history, Given(COSTS, read.diagnoses, read.gates))


def _build(history: Path, given: Given = Given(), wanted: Filter = Filter()) -> Report:
    with open_history(history) as opened:
        return build(collect(opened, wanted), given, HOSTILE)


def _table(report: Report, name: str) -> Table:
    return next(table for section in report.sections for table in section.tables if table.name == name)


def _column(report: Report, name: str, head: str) -> list[Any]:
    table = _table(report, name)
    place = [column.head for column in table.columns].index(head)
    return [row[place].value for row in table.rows]


def test_sections_and_their_tables_fit(report: Report) -> None:
    assert len(report.sections) == len(SECTIONS)
    names = [plot.name for section in report.sections for plot in section.plots]
    names += [f"table-{table.name}" for section in report.sections for table in section.tables]
    names += [section.name for section in report.sections]
    assert len(set(names)) == len(names)
    for section in report.sections:
        assert section.plots or section.tables or section.notes
        for table in section.tables:
            assert table.rows
            assert all(len(row) == len(table.columns) for row in table.rows)


def test_every_number_leads_to_a_run_that_is_there(report: Report) -> None:
    runs = {item.run for item in report.provenance}
    assert len(runs) == DAYS + 6
    linked = {cell.run for s in report.sections for t in s.tables for row in t.rows for cell in row}
    linked |= {verdict.run for verdict in report.verdicts}
    assert linked - {""} == runs
    facts = dict(next(item.facts for item in report.provenance if "net.tflite" in item.title))
    assert facts["held"] == "governor performance"
    assert facts["not held"] == "temperature: the device tells none"


def test_verdicts(report: Report) -> None:
    words = Counter((verdict.tone, verdict.word) for verdict in report.verdicts)
    assert words == Counter(
        {
            ("bad", "fail"): 1,
            ("bad", "slower"): 1,
            ("bad", "worse"): 1,
            ("open", "inconclusive"): 1,
            ("open", "trouble"): 1,
            ("good", "pass"): 3,
        }
    )
    tones = [verdict.tone for verdict in report.verdicts]
    assert tones == sorted(tones, key=["bad", "open", "good"].index)
    slower = next(verdict for verdict in report.verdicts if verdict.word == "slower")
    assert f"since commit {SLOWER:02x}abcdef" in slower.text
    worse = next(verdict for verdict in report.verdicts if verdict.word == "worse")
    assert worse.text.startswith("-15.00 points of top-1 (")


def test_figures_are_those_of_the_runs(report: Report, history: Path) -> None:
    with open_history(history) as opened:
        rows = opened.find(Filter(kind="latency"))
    latest = [row for row in rows if row.model_name == "net.tflite"][-1]
    place = _column(report, "latency", "file and setting").index(
        next(text for text in _column(report, "latency", "file and setting") if text.startswith("net.tflite"))
    )
    assert _column(report, "latency", "median, ms")[place] == pytest.approx((latest.median_ns or 0) / 1e6)
    assert _column(report, "latency", "samples")[place] == 40
    assert {90.0, 75.0} <= set(_column(report, "files", "top-1, %"))
    assert _column(report, "precision", "top-1 difference, points") == [-15.0]
    (ratio,) = _column(report, "precision", "latency ratio")
    assert ratio == pytest.approx(5.0 / 13.2, rel=0.03)
    assert _column(report, "changes", "change, %") == [pytest.approx(10, abs=1.5)]


def test_fronts(report: Report) -> None:
    fronts = dict(
        zip(_column(report, "files", "file"), _column(report, "files", "on the front of"), strict=True)
    )
    # int8 is faster and worse: both are on the front of latency; of mult-adds only the better one.
    assert "latency on adb:" in fronts["net.tflite"]
    assert "mult-adds" in fronts["net.tflite"]
    assert "latency on" in fronts["net_int8.tflite"]
    assert "mult-adds" not in fronts["net_int8.tflite"]


def test_operators_are_means_of_calls(report: Report) -> None:
    kinds = _column(report, "operators", "kind")
    times = _column(report, "operators", "ms")
    assert times[kinds.index("DEPTHWISE_CONV_2D")] == pytest.approx(0.3)
    shares = _column(report, "operators", "share, %")
    assert shares[kinds.index("DEPTHWISE_CONV_2D")] == pytest.approx(75)


def test_no_plot_is_empty_and_emulated_times_say_so(report: Report) -> None:
    plots = [plot for section in report.sections for plot in section.plots]
    assert len(plots) >= 12
    for plot in plots:
        assert plot.spec["data"]["values"], plot.name
    assert any("(emulated instruction clock)" in plot.title for plot in plots)
    # Times of an emulated clock are in no plot with others.
    for plot in plots:
        if plot.name.startswith("latency"):
            labels = {value["label"] for value in plot.spec["data"]["values"] if "label" in value}
            assert len({"emulated instruction clock" in label for label in labels}) == 1


def test_words_of_changes_do_not_lie_on_each_other(tmp_path: Path) -> None:
    """A drift is many changes: all have a rule, those far enough from larger ones have words."""
    with open_history(tmp_path / "h.db") as opened:
        for hour in range(48):
            run = latency_run(milliseconds=10.0 + hour // 3, samples=2, launches=1, seed=hour)
            opened.add(replace(run, started=f"2026-03-{1 + hour // 24:02}T{hour % 24:02}:00:00+00:00"))
    made = _build(tmp_path / "h.db")
    (plot,) = (plot for section in made.sections for plot in section.plots if plot.name == "history-1")
    marks = [value for value in plot.spec["data"]["values"] if "share" in value]
    assert len(marks) == len(_column(made, "changes", "change, %"))
    worded = [datetime.fromisoformat(value["place"]) for value in marks if value["share"]]
    assert 1 < len(worded) < len(marks)
    assert min(later - earlier for earlier, later in pairwise(worded)) > timedelta(hours=0.16 * 48)


@pytest.mark.parametrize("kind", ["latency", "accuracy"])
def test_a_history_of_one_kind(history: Path, kind: Any) -> None:
    made = _build(history, wanted=Filter(kind=kind, model="net.tflite"))
    plots = [plot for section in made.sections for plot in section.plots]
    assert all(plot.spec["data"]["values"] for plot in plots)
    assert bool(plots) == (kind == "latency")
    notes = [note for section in made.sections for note in section.notes]
    assert any("mobiledeploy evaluate" in note for note in notes) == (kind == "latency")
    assert any("mobiledeploy benchmark" in note for note in notes) == (kind == "accuracy")


def test_a_single_run(tmp_path: Path) -> None:
    with open_history(tmp_path / "h.db") as opened:
        opened.add(latency_run(samples=0))
        opened.add(accuracy_run())
    made = _build(tmp_path / "h.db")
    assert len(made.provenance) == 2
    assert made.verdicts == ()


def test_thinned_samples_keep_their_ends() -> None:
    run = latency_run(launches=2, samples=500)
    thin = spread(run)
    assert thin is not None
    every = sorted(sample / 1e6 for launch in run.launches for sample in launch.samples_ns)
    assert len(thin.samples) == SHOWN
    assert (thin.samples[0], thin.samples[-1]) == (pytest.approx(every[0]), pytest.approx(every[-1]))
    assert every[249] <= thin.p25 <= every[250]


class _Seen(HTMLParser):
    """Elements, what they would load, and text by element."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.ids: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "action", "data")]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_page(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "_library", lambda: "/* plots */")
    text = page(report)
    assert text == page(report)
    seen = _Seen()
    seen.feed(text)
    # Two of data, the library, our own: none of a name.
    assert seen.tags["script"] == 4
    assert seen.tags["img"] == 0
    assert seen.handlers == []
    assert HOSTILE in seen.texts
    assert all(link == "data:," or link.startswith("#") for link in seen.links)
    assert {link[1:] for link in seen.links if link != "data:,"} <= set(seen.ids)
    assert len(set(seen.ids)) == len(seen.ids)
    assert "default-src &#39;none&#39;; script-src &#39;sha256-" in text
    (figures,) = re.findall(r'<script type="application/json" id="figures">(.*?)</script>', text, re.DOTALL)
    assert json.loads(figures) == json.loads(json.dumps(report.to_dict()))
    assert len(text) < 500_000


def test_markdown(report: Report) -> None:
    text = markdown(report, {"latency-1": "pictures/latency-1.svg"})
    assert len(text) < 65_000
    assert "<script" not in text
    assert "](javascript" not in text
    assert "](<pictures/latency-1.svg>)" in text
    assert "❌ **slower**" in text
    assert "history" not in text.splitlines()[2]
    lines = text.splitlines()
    for index, line in enumerate(lines):
        if line.startswith(("|--:", "|---")):
            widths = {lines[index - 1].count("|"), line.count("|"), lines[index + 1].count("|")}
            assert len(widths) == 1


def test_a_given_file_of_no_run_is_refused(history: Path) -> None:
    stranger = FileCost("other.tflite", "00" * 32, 1, "float32", 1, 1)
    with pytest.raises(InputError, match="none of the report's runs is of this file"):
        _build(history, Given((stranger,)))


def test_models_of_several_tasks(tmp_path: Path) -> None:
    """Each figure under its metric's name, compared with those of the same metric and images alone."""

    def tagged(file: str, sha256: str, noise: float) -> AccuracyRun:
        predictions = tuple(
            TagPrediction(f"{index}.jpg", (index % 3 == 0,), (float(index % 3 == 0) + noise * (index % 7),))
            for index in range(60)
        )
        run = accuracy_run()
        task = "multi-label-classification"
        return replace(run, file=file, sha256=sha256, predictions=predictions, task=task)

    runs = [tagged("tags.tflite", FLOAT, 0.1), tagged("tags_int8.tflite", INT8, 0.3), accuracy_run()]
    with open_history(tmp_path / "history.db") as history:
        for run in runs:
            history.add(run)
    made = _build(tmp_path / "history.db", Given(COSTS))
    texts = [
        [cell.text for cell in row] for table in ("files", "precision") for row in _table(made, table).rows
    ]
    values = [f"mean AP {100 * run.headline.value:.2f}" for run in runs[:2]]
    assert all(any(value in row for row in texts) for value in (*values, "top-1 60.00"))
    difference = 100 * (runs[1].headline.value - runs[0].headline.value)
    assert _column(made, "precision", "mean AP difference, points") == [pytest.approx(difference)]
    titles = [plot.title for section in made.sections for plot in section.plots]
    assert any(title.startswith("Mean AP against mult-adds, 60 images") for title in titles)
    assert "Mean AP, integer - float, points" in titles
    assert any("points of mean AP" in verdict.text for verdict in made.verdicts)
    assert {"mean AP, %", "top-1, %"} <= set(_column(made, "history", "unit"))
