"""What may stand in ``deploy.toml``: one frozen model for each table.

Keys are written with dashes.  Tables of what is data elsewhere (a recipe, gates, platforms) are made from
that data, so that a new gate or platform is known here without a word.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import MISSING, fields
from pathlib import PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model

from mobiledeploy import contract
from mobiledeploy.contract import InputDtype, Precision, Target, Task
from mobiledeploy.deploy.commands.options import RunnerName
from mobiledeploy.deploy.gate_baselines import STORED
from mobiledeploy.deploy.packages import platforms
from mobiledeploy.deploy.project.template import SCHEMA_FILE
from mobiledeploy.device_tests.affinity import ALL
from mobiledeploy.device_tests.gate.formats import FORMATS
from mobiledeploy.device_tests.gate.limits import KINDS, Kind
from mobiledeploy.device_tests.tasks.metric import FAR
from mobiledeploy.models import MODEL_FILES
from mobiledeploy.quantize.recipe import Recipe as QuantizationRecipe

FLOAT = "float"
NO_DATA = "none"
RANDOM = "random"


def kebab(name: str) -> str:
    """``max_drop`` -> ``max-drop``."""
    return name.replace("_", "-")


class Table(BaseModel):
    """A table: its keys and no others, values of its types and no others."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        alias_generator=kebab,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        protected_namespaces=(),
    )


def _inside(text: str) -> str:
    """Refuse a path that leaves the project.  Links in the project may lead out of it: somebody made them."""
    path = PurePosixPath(text)
    # A drive or a backslash would lead elsewhere on Windows.
    absolute = path.is_absolute() or PureWindowsPath(text).anchor or text.startswith("~")
    if not text or "\0" in text or absolute or ".." in path.parts:
        raise ValueError(f"{text!r} is no path inside the project; copy what is there, or link it: ln -s")
    return text


def _inside_unless(*words: str) -> AfterValidator:
    return AfterValidator(lambda text: text if text in words else _inside(text))


def _baseline(text: str) -> str:
    return text if text == FLOAT or text.startswith(STORED) else _inside(text)


def _results(text: str) -> str:
    parts = PurePosixPath(_inside(text)).parts
    if not parts or parts[0] == PurePosixPath(SCHEMA_FILE).parts[0]:
        raise ValueError(f"{text!r} is no folder for results alone")
    return text


def _distinct(items: tuple[Any, ...]) -> tuple[Any, ...]:
    if twice := next((item for item in items if items.count(item) > 1), None):
        raise ValueError(f"{twice!r} stands there twice")
    return items


def _reference(text: str) -> str:
    return _inside(text) if text.endswith(MODEL_FILES) else text


InsidePath = Annotated[str, AfterValidator(_inside)]
Positive = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(ge=0)]
Devices = Annotated[tuple[str, ...], AfterValidator(_distinct)]


def _table_of(kind: type, about: str, without: Iterable[str] = ()) -> type[Table]:
    """A table of a dataclass's fields, with its defaults."""
    hints = get_type_hints(kind)
    columns: dict[str, Any] = {
        item.name: (hints[item.name], ... if item.default is MISSING else item.default)
        for item in fields(kind)
        if item.name not in without
    }
    return create_model(kind.__name__, __base__=Table, __doc__=about, **columns)


if TYPE_CHECKING:

    class Preprocessing(Table):
        """Made below."""

    class Recipe(Table):
        """Made below."""

else:
    Preprocessing = _table_of(
        contract.Preprocessing,
        "What a caller does to an image before the model's input, whose size is the model's.",
        without=("height", "width"),
    )
    Recipe = _table_of(QuantizationRecipe, "How the model is quantized; what is left out has its default.")


class Model(Table):
    """What is deployed."""

    name: Annotated[str, AfterValidator(_reference)] | None = None
    """A zoo name, package.module:callable, timm:NAME, torchvision:NAME or a .pt2 file; else MobileNetV2."""
    weights: Annotated[str, _inside_unless(RANDOM)] | None = None
    """State dict (.pth, .safetensors), or "random"; left out: the published ones."""
    width: float | None = None
    """Width multiplier of a zoo model."""
    resolution: int | None = None
    """Height and width of the input, pixels."""
    preprocessing: str | Preprocessing | None = None
    """Preset (imagenet, inception, unit, lite, raw) or a table; left out: the model's own."""
    class_names: InsidePath | None = None
    """Text file with the name of one class a line; left out: the model's own."""
    task: Task | None = None
    """What the outputs are for; left out: the model's own."""
    reads: Annotated[tuple[InsidePath, ...], AfterValidator(_distinct)] = ()
    """Further files that the model's own code reads: when one changes, the model is converted again."""


class Convert(Table):
    """The files that are made."""

    targets: Annotated[tuple[Target, ...], Field(min_length=1), AfterValidator(_distinct)] = ("tflite",)
    """Formats."""
    precision: Precision = "fp32"
    """Arithmetic of the files; int8 and int16x8 want data.calibration."""
    input_dtype: InputDtype | None = None
    """uint8: the file takes raw pixels and normalises inside; of a quantized TFLite file: its codes."""
    output_dtype: InputDtype | None = None
    """Of a quantized TFLite file."""
    max_drop: Annotated[float, Field(ge=0, lt=100)] | None = None
    """Keep the layers that int8 hurts most in float until top-1 drops by no more than so many points."""
    output: Annotated[str, AfterValidator(_results)] = "build"
    """Folder of all results."""


class Data(Table):
    """Images."""

    calibration: Annotated[str, _inside_unless(NO_DATA)] | None = None
    """Folder of images that show the quantizer the activations, or "none": batch norm statistics do."""
    images: InsidePath | None = None
    """Folder of labelled images that accuracy is measured on: one folder per class, or any with labels."""
    labels: InsidePath | None = None
    """The truth: CSV of classes, attributes, places or identities; COCO's instances file."""
    label_offset: int | None = None
    """Output index of label 0; 1 if class 0 is background."""
    far: Annotated[float, Field(gt=0, lt=1)] = FAR
    """Of embeddings: false-accept rate that the true-accept rate is told at."""


class Measure(Table):
    """Where and how files are measured."""

    devices: Devices = ()
    """Of latency: local, adb:SERIAL, ssh:[USER@]HOST[:PORT], names of devices.toml, kind:KIND of a lab."""
    evaluate_on: Devices = ()
    """Devices that accuracy is measured on, beside this host, and compared with it; none of them in a lab."""
    scheduler: str | None = None
    """Of the lab that holds devices, like tcp://10.0.0.5:8786."""
    wait: Seconds = 600.0
    """Seconds to wait for a device of a lab that is free."""
    threads: Positive = 1
    """Of the engine."""
    launches: Positive = 4
    """Of a benchmark, for each file."""
    runs: Positive = 50
    """Inferences of a launch of a benchmark, at least."""
    seconds: Seconds = 1.0
    """Duration of a launch of a benchmark, at least."""
    affinity: str = ALL
    """Cores like 4-7; fastest, slowest or all."""
    governor: str = "performance"
    """Set where permitted and put back; empty leaves it."""
    max_temperature: float | None = None
    """Wait before each launch until the device is this cool, degrees Celsius."""
    runner: RunnerName = "auto"
    """The native program, the device's own Python, or TFLite's benchmark_model."""
    engine_library: InsidePath | None = None
    """Engine for the devices, which Android wants: .so or .aar; or the program benchmark_model."""


def _reports(kinds: tuple[str, ...]) -> tuple[str, ...]:
    if strange := next((kind for kind in kinds if kind not in FORMATS), None):
        raise ValueError(f"there is no report {strange!r}; kinds are {', '.join(FORMATS)}")
    return kinds


class _Gates(Table):
    """Limits that each file has to keep before it is packaged, like max-size = "5MB"."""

    baseline: Annotated[str, AfterValidator(_baseline)] | None = None
    """What max-regression and max-top1-drop compare with: a file, a folder with files of the same names,
    "float": the model's own float file, or history:ID: a stored run of one format on one device."""
    time_limit: str = "120s"
    """Device time of one gate."""
    reports: Annotated[tuple[str, ...], AfterValidator(_reports), AfterValidator(_distinct)] = ()
    """Reports for CI beside the results."""


def _of_limit(kind: Kind) -> Any:
    return {"flag": bool, "points": str | float}.get(kind.unit, str)


if TYPE_CHECKING:
    Gates = _Gates
else:
    _LIMITS = {kind.name.replace("-", "_"): (_of_limit(kind) | None, None) for kind in KINDS}
    Gates = create_model("Gates", __base__=_Gates, __doc__=_Gates.__doc__, **_LIMITS)


class Package(Table):
    """A library for an app of one platform."""

    name: str | None = None
    """The class that the app calls; else that of the model's task."""
    namespace: str | None = None
    """Of the generated code; else com.example. and the name."""
    target: Target | None = None
    """Format of the file in it; else the first of the targets that the platform takes."""


if TYPE_CHECKING:
    Packages = Table
else:
    Packages = create_model(
        "Packages",
        __base__=Table,
        __doc__="Libraries for apps, by platform.",
        **dict.fromkeys(platforms.names(), (Package | None, None)),
    )


class Settings(Table):
    """All of ``deploy.toml``."""

    model: Model | None = None
    convert: Convert = Convert()
    recipe: Recipe | None = None
    data: Data = Data()
    measure: Measure = Measure()
    gates: Gates = Gates()
    packages: Packages = Packages()

    def packages_by_name(self) -> dict[str, Package]:
        """Platform -> what is said of its package, for those that are wanted."""
        found = ((name, getattr(self.packages, name)) for name in type(self.packages).model_fields)
        return {name: package for name, package in found if package is not None}


def json_schema() -> dict[str, Any]:
    """The same for editors."""
    schema = Settings.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "deploy.toml"}
