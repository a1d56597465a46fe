"""``deploy.toml``: what it may say, how it is told what is wrong, and what ``init`` writes."""

from __future__ import annotations

import json
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from mobiledeploy.deploy.cli import main
from mobiledeploy.deploy.packages import platforms
from mobiledeploy.deploy.project.lines import line_of
from mobiledeploy.deploy.project.loading import parse
from mobiledeploy.deploy.project.schema import Settings, json_schema
from mobiledeploy.deploy.project.template import Beginning, render
from mobiledeploy.device_tests.gate.limits import KINDS
from mobiledeploy.errors import InputError
from mobiledeploy.quantize import Recipe

FILE = Path("deploy.toml")
WRONG = [
    ('[model]\nname = "x"\nwieghts = "a"\n', "line 3: unknown key 'wieghts'. Did you mean weights?"),
    ('targets = ["onnx"]\n', "line 1: unknown key 'targets'. Did you mean convert.targets?"),
    ("[convert]\nmax_drop = 3\n", "line 2: unknown key 'max_drop'. Did you mean max-drop?"),
    ("[measure]\nzzz = 3\n", "line 2: unknown key 'zzz'. Known: devices, evaluate-on"),
    ('[gates]\nmax-sise = "1MB"\n', "line 2: unknown key 'max-sise'. Did you mean max-size?"),
    ('[packages.andriod]\nname = "X"\n', "line 1: unknown key 'andriod'. Did you mean android?"),
    ('[recipe]\nbias_correction = "none"\n', "line 2: unknown key 'bias_correction'. Did you mean bias-cor"),
    (
        '[convert]\ntargets = [\n  "onnx",\n  "tfl",\n]\n',
        "line 2: convert.targets.1 is 'tfl', and should be 'tf",
    ),
    ("[convert]\n\nprecision = 8\n", "line 3: convert.precision is 8, and should be 'fp32'"),
    ('[model]\nwidth = "1"\n[data]\nx = 1\n', "line 2: model.width is '1', and should be a valid number"),
    ("[model.preprocessing]\nmean = [1, 2, true]\n", "line 2: model.preprocessing.mean.2 is True"),
    ("gates = 3\n", "line 1: gates is 3, and should be a table"),
    ("[measure]\nthreads = 0\n", "line 2: measure.threads is 0, and should be greater than"),
    ('[measure]\ndevices = ["a", "a"]\n', "line 2: measure.devices: 'a' stands there twice"),
    ('[gates]\nreports = ["junti"]\n', "line 2: gates.reports: there is no report 'junti'"),
    ('[gates]\n# Limits.\nmax-size = "1XB"\n', "line 3: gates.max-size: '1XB' has an unknown unit. Did you"),
    ('[model]\nweights = "../a.pth"\n', "line 2: model.weights: '../a.pth' is no path inside the project"),
    ('[model]\nname = "/a/b.pt2"\n', "line 2: model.name: '/a/b.pt2' is no path inside the project"),
    ('[data]\ncalibration = "~/photos"\n', "no path inside the project"),
    ('[data]\nimages = "C:\\\\photos"\n', "no path inside the project"),
    ('[convert]\noutput = "build/../.."\n', "no path inside the project"),
    ('[convert]\noutput = "."\n', "line 2: convert.output: '.' is no folder for results alone"),
    ('[convert]\noutput = ".mobiledeploy/x"\n', "is no folder for results alone"),
    ('[gates]\nbaseline = ""\n', "line 2: gates.baseline: '' is no path inside the project"),
    ("[model\n", "line 1: this is no TOML (Expected ']'"),
    ("a = [\n", "line 2: this is no TOML"),
    ("a = 1\na = 2\n", "line 2: this is no TOML (Cannot overwrite a value)"),
]


@pytest.mark.parametrize(("text", "message"), WRONG, ids=[text for text, _ in WRONG])
def test_what_is_wrong_is_told_with_its_line(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(FILE, text)
    assert str(caught.value).startswith("deploy.toml, line ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("path", "line"),
    [((), None), (("a",), 1), (("t", "b"), 5), (("t", "b", 1), 5), (("t", "s"), 9), (("t", "c", "d"), 14)],
)
def test_lines(path: tuple[str | int, ...], line: int | None) -> None:
    text = 'a = 1\n\n[t]\n# b = 0\nb = [\n  1,\n  2,\n]\ns = """\nb = 3\n[t.c]\n"""\n[t.c]\nd = {e = 1}\n'
    assert line_of(text, path) == line


@pytest.mark.parametrize(
    "known",
    [
        Beginning(),
        Beginning(
            'a."b\\c:make',
            weights='w"\u00e9\x7f.pth',
            width=0.25,
            resolution=96,
            targets=("tflite", "onnx"),
            calibration="photos",
            images="x",
            labels="y.csv",
            devices=("adb:1",),
            platforms=tuple(platforms.names()),
        ),
    ],
)
def test_what_init_writes_is_right_and_says_what_was_known(known: Beginning) -> None:
    settings = parse(FILE, render(known)).settings
    model = settings.model
    assert model is not None
    assert (model.name, model.weights, model.width) == (known.model, known.weights, known.width)
    assert model.resolution == known.resolution
    assert settings.convert.targets == known.targets
    assert settings.data.calibration == (known.calibration or "none")
    assert (settings.data.images, settings.data.labels) == (known.images, known.labels)
    assert settings.measure.devices == known.devices
    packaged = settings.packages.model_dump()
    assert [name for name in packaged if packaged[name]] == list(known.platforms)


def test_what_init_writes_in_comments_is_right_too() -> None:
    lines = render(Beginning()).splitlines()
    assert sum(" = " in line and line.startswith("# ") for line in lines) > 15
    keys = [line.removeprefix("# ") if " = " in line or "# [" in line else line for line in lines]
    parse(FILE, "\n".join(keys))


def test_the_schema_says_what_the_models_say() -> None:
    schema = json_schema()
    check = jsonschema.Draft202012Validator(schema)
    check.check_schema(schema)
    assert not list(check.iter_errors(tomllib.loads(render(Beginning(platforms=("ios",))))))
    for text, _ in WRONG:
        try:
            data = tomllib.loads(text)
        except tomllib.TOMLDecodeError:
            continue
        # What only the models know: paths and units.
        if "inside" in _ or "alone" in _ or "twice" in _ or "unit" in _ or "report" in _:
            continue
        assert list(check.iter_errors(data)), text


def test_new_gates_platforms_and_recipe_fields_are_known() -> None:
    tables = json_schema()["$defs"]
    assert {kind.name for kind in KINDS} < set(tables["Gates"]["properties"])
    assert set(tables["Packages"]["properties"]) == set(platforms.names())
    assert len(tables["Recipe"]["properties"]) == len(fields(Recipe))
    assert all("description" in item for item in tables["Model"]["properties"].values())


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().convert.precision = "int8"  # type: ignore[misc]


def test_init(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def ask(*arguments: str) -> tuple[int, dict[str, Any]]:
        code = main(["init", *arguments, "--json"])
        return code, json.loads(capsys.readouterr().out)

    code, data = ask("new", "--model", "mobilenet_v1", "--weights", "/etc/passwd")
    assert (code, Path("new").exists()) == (3, False)
    assert "no path inside the project" in data["error"]["message"]
    code, data = ask("new", "--model", "mobilenet_v1", "--width", "0.25")
    assert (code, data) == (0, {"file": "new/deploy.toml"})
    text = Path("new/deploy.toml").read_text()
    assert 'name = "mobilenet_v1"' in text
    named = text.splitlines()[0].removeprefix("#:schema ")
    assert json.loads((Path("new") / named).read_text()) == json_schema()
    assert (Path("new") / named).with_name(".gitignore").read_text() == "*\n"
    code, data = ask("new")
    assert (code, Path("new/deploy.toml").read_text()) == (7, text)
    assert ask("--schema") == (0, json_schema())
