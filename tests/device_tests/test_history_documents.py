"""Runs to JSON and back, whatever they hold; damaged ones are named."""

from __future__ import annotations

import json
import zlib
from dataclasses import fields, is_dataclass, replace
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from example_runs import accuracy_run, latency_run
from hypothesis import given, settings
from hypothesis import strategies as st

from mobiledeploy.device_tests.accuracy_run import AccuracyRun
from mobiledeploy.device_tests.history import Record
from mobiledeploy.device_tests.history.decode import NotDecodable, decode
from mobiledeploy.device_tests.history.documents import UPGRADES, pack, read, unpack
from mobiledeploy.device_tests.latency_run import LatencyRun
from mobiledeploy.device_tests.tasks.classification import Prediction
from mobiledeploy.device_tests.tasks.detection import BoxPrediction, FoundBox, TrueBox
from mobiledeploy.device_tests.tasks.embedding import VectorPrediction
from mobiledeploy.device_tests.tasks.geolocation import PlacePrediction
from mobiledeploy.device_tests.tasks.tagging import TagPrediction
from mobiledeploy.errors import InputError

# Times beyond these are centuries; the figures drawn from them would lose their last digits.
INTEGERS = st.integers(0, 2**50)
LATENCY = Record("0" * 32, "2026-03-01T12:00:00Z", "adb:X", None, None, "0.1.0", latency_run(samples=3))
ACCURACY = replace(LATENCY, device=None, run=accuracy_run())


def anything(hint: Any) -> st.SearchStrategy[Any]:
    """Values of a type hint."""
    origin, options = get_origin(hint), get_args(hint)
    if is_dataclass(hint) and isinstance(hint, type):
        hints = get_type_hints(hint)
        hints.pop("schema_version", None)
        if hint is AccuracyRun:
            return evaluated(hints)
        values = {item.name: anything(hints[item.name]) for item in fields(hint) if item.name in hints}
        return st.builds(hint, **values)
    if origin is tuple:
        # An accuracy run is of one image at least.
        return st.lists(anything(options[0]), min_size=1, max_size=3).map(tuple)
    if origin is Literal:
        return st.sampled_from(options)
    if options:
        return st.one_of([anything(option) for option in options])
    simple = {
        # Halves of characters as well: names on a device are bytes.
        str: st.text(st.characters(), max_size=8),
        int: INTEGERS,
        float: st.floats(1e-3, 1e9) | st.integers(1, 1000),
        bool: st.booleans(),
        NoneType: st.none(),
    }
    return simple[hint]


def evaluated(hints: dict[str, Any]) -> st.SearchStrategy[AccuracyRun]:
    """Accuracy runs of every task, each with predictions of its own kind."""
    hints = {
        name: hint for name, hint in hints.items() if name not in ("task", "predictions", "far", "names")
    }
    values = {name: anything(hint) for name, hint in hints.items()}
    degrees = st.floats(-90, 90)
    there = st.builds(TrueBox, st.integers(0, 2), *[st.floats(0, 50)] * 4, st.just(False), st.floats(0, 9))
    vectors = st.sampled_from(["AACAPwAAAAA=", "AAAAAAAAgD8="])
    kinds = {
        "image-classification": [anything(Prediction)],
        "multi-label-classification": [
            st.builds(TagPrediction, anything(str), st.just((True, None)), st.tuples(degrees, degrees)),
        ],
        "geolocation": [st.builds(PlacePrediction, anything(str), *[degrees] * 4)],
        "embedding": [st.builds(VectorPrediction, anything(str), st.just(who), vectors) for who in (0, 0, 1)],
        "object-detection": [
            st.builds(BoxPrediction, anything(str), st.tuples(there), st.tuples(anything(FoundBox))),
        ],
    }
    return st.sampled_from(sorted(kinds)).flatmap(
        lambda task: st.builds(
            AccuracyRun,
            **values,
            task=st.just(task),
            predictions=st.tuples(*kinds[task]),
            far=st.floats(0.6, 0.9),
        )
    )


records = st.builds(
    Record,
    id=anything(str),
    time=anything(str),
    device=anything(str | None),
    label=anything(str | None),
    commit=anything(str | None),
    harness=anything(str),
    run=anything(LatencyRun) | anything(AccuracyRun),
)


@given(records)
@settings(max_examples=60, deadline=None)
def test_every_record_comes_back_equal(record: Record) -> None:
    assert read(unpack(pack(record.to_dict()), "row"), "row") == record


def changed(data: Any, place: int, value: Any) -> Any:
    """The same JSON with its nth value, counted in depth, replaced or (``...``) taken out."""
    left = place

    def walk(item: Any) -> Any:
        nonlocal left
        left -= 1
        if left == -1:
            return value
        if isinstance(item, dict):
            done = {key: walk(inner) for key, inner in item.items()}
            return {key: inner for key, inner in done.items() if inner is not ...}
        if isinstance(item, list):
            return [inner for inner in map(walk, item) if inner is not ...]
        return item

    return walk(data)


def attempt(document: Any) -> Record | InputError:
    try:
        return read(document, "the row 4711")
    except InputError as error:
        return error


@given(
    document=st.sampled_from([json.loads(json.dumps(record.to_dict())) for record in (LATENCY, ACCURACY)]),
    place=st.integers(1, 250),
    value=st.sampled_from([..., None, True, -1, 2.5, "x", [], {}, [1], {"a": 1}]),
)
@settings(max_examples=400, deadline=None)
def test_a_damaged_record_is_told_or_still_one(document: Any, place: int, value: Any) -> None:
    found = attempt(changed(document, place, value))
    if isinstance(found, InputError):
        assert found.where == "the row 4711"
        assert "\n" not in str(found)


def test_what_is_wrong_is_said() -> None:
    document = json.loads(json.dumps(LATENCY.to_dict()))

    def refused(text: str) -> None:
        with pytest.raises(InputError, match=text):
            read(document, "the row")

    document["run"]["launches"][1]["samples_ns"][2] = "12"
    refused(r"damaged \(run\.launches\[1\]\.samples_ns\[2\]: '12' is no int\)")
    document["run"]["launches"][1]["samples_ns"][2] = True
    refused(r"True is no int")
    del document["run"]["launches"][1]["samples_ns"]
    refused("samples_ns is missing")
    document["run"]["launches"] = []
    document["run"]["facts"]["surprise"] = 1
    refused(r"run\.facts: 'surprise' is not known.*Upgrade mobiledeploy if a newer one")
    del document["run"]
    refused("'run' is missing")


def test_bytes_that_are_no_document() -> None:
    whole = pack(LATENCY.to_dict())
    for damaged in (b"", whole[:-20], b"x" + whole, zlib.compress(b"[1]"), zlib.compress(b"{")):
        with pytest.raises(InputError, match=r"^the row: the stored run is damaged.*history remove"):
            unpack(damaged, "the row")
    with pytest.raises(InputError):
        unpack(zlib.compress(b"[" * 100_000), "the row")


def test_a_field_with_a_default_may_be_missing() -> None:
    """A run that was stored before the field was thought of."""
    document = json.loads(json.dumps(LATENCY.to_dict()))
    for launch in document["run"]["launches"]:
        assert "energy_uj" in launch
        del launch["energy_uj"]
    assert read(document, "row") == LATENCY


@pytest.mark.parametrize("record", [LATENCY, ACCURACY], ids=lambda record: record.kind)
def test_versions(record: Record) -> None:
    document = json.loads(json.dumps(record.to_dict()))
    current = record.run.to_dict()["schema_version"]
    newer = {**document, "run": {**document["run"], "schema_version": current + 1}}
    with pytest.raises(InputError, match="Upgrade mobiledeploy"):
        read(newer, "row")
    with pytest.raises(InputError, match="Upgrade mobiledeploy"):
        read({**document, "schema_version": 2, "new": 1}, "row")
    # As if version 0 had called the engine something else.
    older = {**document["run"], "schema_version": 0}
    older["runtime"] = older.pop("engine")
    with pytest.raises(InputError, match="version 0 was never written"):
        read({**document, "run": older}, "row")

    def upgrade(data: dict[str, Any]) -> dict[str, Any]:
        return {**{key: value for key, value in data.items() if key != "runtime"}, "engine": data["runtime"]}

    kind = record.kind
    upgrades = {kind: {**UPGRADES[kind], 0: upgrade}}
    assert read({**document, "run": older}, "row", upgrades) == record


@pytest.mark.parametrize("record", [LATENCY, ACCURACY], ids=lambda record: record.kind)
def test_every_version_that_was_written_is_still_read(record: Record) -> None:
    current = record.run.to_dict()["schema_version"]
    assert sorted(UPGRADES[record.kind]) == list(range(1, current))


def test_an_accuracy_run_that_knew_of_no_device() -> None:
    """As the first ones were stored."""
    run = accuracy_run()
    document = json.loads(json.dumps(ACCURACY.to_dict()))
    for added in ("device", "facts", "engine_seconds", "outputs_sha256", "host", "sound"):
        document["run"].pop(added)
    assert read(document, "row") == replace(ACCURACY, run=replace(run, device=None))


def test_figures_are_recalled_as_they_were_drawn() -> None:
    """To draw those of 5000 images with boxes takes a minute, and a package that may not be there."""
    document = json.loads(json.dumps(ACCURACY.to_dict()))
    document["run"]["figures"][0]["value"] = 0.25
    found = read(document, "row")
    assert found == ACCURACY
    assert found.run.headline.value == 0.25  # type: ignore[union-attr]
    document["run"]["figures"][0]["value"] = "high"
    with pytest.raises(InputError, match=r"damaged \(run\.figures\[0\]\.value: 'high' is no number\)"):
        read(document, "row")


def test_hints_that_no_reader_knows_are_a_defect() -> None:
    with pytest.raises(TypeError, match="no reader for"):
        decode(complex, 1)
    with pytest.raises(NotDecodable, match="too large"):
        decode(float, 10**400)
    assert decode(float, 3) == 3.0


def test_a_figure_that_a_later_version_draws_is_no_obstacle() -> None:
    document = json.loads(json.dumps(LATENCY.to_dict()))
    document["run"]["joules_per_kilometre"] = 1
    assert read(document, "row") == LATENCY
