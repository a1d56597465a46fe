"""The contract that travels inside every file, and the errors that users see."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobiledeploy import errors
from mobiledeploy.contract import (
    SCHEMA_VERSION,
    AnchorGrid,
    Anchors,
    Contract,
    Preprocessing,
    Provenance,
    TensorSpec,
)
from mobiledeploy.errors import InputError, MobileDeployError, Refusal, RefusedError

FULL = Contract(
    inputs=(TensorSpec("image", (1, 224, 224, 3), "uint8", "NHWC", "image", 1 / 128, 128),),
    outputs=(TensorSpec("scores", (1, 1000), "float32", content="logits"),),
    task="image-classification",
    preprocessing=Preprocessing(224, 224, resize_to=256, mean=(123.675, 116.28, 103.53), std=(1.0, 2.0, 3.0)),
    labels=("tench", "goldfish, Carassius auratus", "grand requin blanc 鲨"),
    provenance=Provenance("mobilenet_v2", "v2.pth", "ab" * 32, "BSD-3-Clause", (("torch", "2.13.0"),)),
)
DETECTOR = replace(FULL, task="object-detection", anchors=Anchors((AnchorGrid(2, 3, ((0.5, 0.25),)),)))
BARE = Contract(inputs=(), outputs=())

names = st.text(max_size=8)
floats = st.floats(allow_nan=False, allow_infinity=False)
triples = st.tuples(floats, floats, floats)
specs = st.builds(
    TensorSpec,
    names,
    st.lists(st.integers(-1, 5000), max_size=5).map(tuple),
    st.sampled_from(["float32", "float16", "uint8", "int8"]),
    st.sampled_from(["NHWC", "NCHW", ""]),
    st.sampled_from(["image", "logits", ""]),
    st.none() | floats,
    st.none() | st.integers(-128, 255),
)
rules = st.builds(Preprocessing, st.integers(1, 9), st.integers(1, 9), mean=triples, std=triples)
contracts = st.builds(
    Contract,
    st.lists(specs, max_size=2).map(tuple),
    st.lists(specs, max_size=2).map(tuple),
    preprocessing=st.none() | rules,
    labels=st.lists(names, max_size=4).map(tuple),
    provenance=st.builds(Provenance, names, names, tools=st.lists(st.tuples(names, names)).map(tuple)),
)


@given(contracts)
def test_text_and_back(contract: Contract) -> None:
    text = contract.to_json()
    assert "\n" not in text
    assert Contract.from_json(text) == contract
    assert Contract.from_json(text).to_json() == text


def test_every_field_survives() -> None:
    assert Contract.from_json(FULL.to_json()) == FULL
    assert Contract.from_json(DETECTOR.to_json()) == DETECTOR


def test_only_a_detector_mentions_anchors() -> None:
    assert "anchors" not in FULL.to_json()
    assert '"anchors"' in DETECTOR.to_json()
    assert Contract.from_json(BARE.to_json()) == BARE


def test_text_is_sorted_and_says_its_version() -> None:
    data = json.loads(FULL.to_json())
    assert data["schema_version"] == SCHEMA_VERSION
    assert list(data) == sorted(data)
    assert "鲨" in FULL.to_json()


def test_unknown_fields_of_the_same_version_are_ignored() -> None:
    data = json.loads(FULL.to_json())
    data["inputs"][0]["colour"] = "red"
    data["preprocessing"]["gamma"] = 2.2
    data["note"] = "hello"
    assert Contract.from_json(json.dumps(data)) == FULL


def test_a_newer_version_asks_for_an_upgrade() -> None:
    data = json.loads(FULL.to_json()) | {"schema_version": SCHEMA_VERSION + 1}
    with pytest.raises(InputError, match=r"model\.onnx: the contract has version 2.*Upgrade"):
        Contract.from_json(json.dumps(data), where="model.onnx")


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "[]", "null", "3", "{}", '{"schema_version": 1}', '{"schema_version": "one"}'],
)
def test_damaged_text_is_one_line_with_the_place(text: str) -> None:
    with pytest.raises(InputError, match=r"^model\.tflite: the contract cannot be read") as caught:
        Contract.from_json(text, where="model.tflite")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["inputs", "outputs", "labels", "preprocessing", "provenance", "task"])
def test_a_missing_or_wrong_part_is_refused(key: str) -> None:
    data = json.loads(FULL.to_json())
    without = {name: value for name, value in data.items() if name != key}
    with pytest.raises(InputError, match=key):
        Contract.from_json(json.dumps(without))
    if key in {"inputs", "provenance"}:
        with pytest.raises(InputError):
            Contract.from_json(json.dumps(data | {key: [7]}))


def test_raw_pixels_keeps_the_geometry() -> None:
    rule = Preprocessing(10, 20, resize_to=30, channels="BGR", mean=(1.0, 2.0, 3.0), std=(4.0, 5.0, 6.0))
    raw = rule.raw_pixels()
    assert (raw.mean, raw.std) == ((0.0,) * 3, (1.0,) * 3)
    assert replace(raw, mean=rule.mean, std=rule.std) == rule


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"what": "no such file"}, "no such file"),
        ({"what": "no such file", "where": "a.pth"}, "a.pth: no such file"),
        ({"what": "no such file", "hint": "Check it"}, "no such file. Check it"),
        ({"what": "x", "where": "y", "hint": "z"}, "y: x. z"),
    ],
)
def test_errors_say_where_what_and_what_next(arguments: dict[str, Any], expected: str) -> None:
    error = InputError(**arguments)
    assert str(error) == expected
    assert error.what == arguments["what"]


def test_exit_codes_are_apart_and_leave_the_parsers_free() -> None:
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, MobileDeployError) and kind is not RefusedError
    ]
    codes = [kind.exit_code for kind in kinds]
    assert len(kinds) >= 6
    assert len(set(codes)) == len(codes)
    assert not {0, 2} & set(codes)
    assert RefusedError.exit_code == errors.UnsupportedError.exit_code


def test_refusals_come_as_one_table() -> None:
    rows = (
        Refusal("roll", "encoder.0", "aten.roll.default", (1, 3, 8, 8), "not expressible", "use slices"),
        Refusal("fft", "", "aten.fft_fft.default", (), "complex numbers", "leave it out"),
    )
    text = str(RefusedError(rows, where="swin"))
    assert text.splitlines()[0] == "swin: 2 operations cannot be expressed"
    assert "encoder.0: aten.roll.default on 1x3x8x8: not expressible; use slices" in text
    assert "fft: aten.fft_fft.default on scalar: complex numbers; leave it out" in text
    assert "1 operation cannot" in str(RefusedError(rows[:1], where="swin"))


@pytest.mark.parametrize(
    ("key", "value"),
    [("labels", "abc"), ("task", "cooking"), ("inputs", "abc")],
)
def test_a_value_of_another_type_is_named(key: str, value: object) -> None:
    data = json.loads(Contract(inputs=(), outputs=()).to_json()) | {key: value}
    with pytest.raises(InputError, match=f"{key} is"):
        Contract.from_json(json.dumps(data))


def test_preprocessing_sizes_are_numbers() -> None:
    data = json.loads(Contract((), (), preprocessing=Preprocessing(224, 224)).to_json())
    data["preprocessing"]["height"] = "abc"
    with pytest.raises(InputError, match="height is 'abc'"):
        Contract.from_json(json.dumps(data))
