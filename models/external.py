"""Models of timm and torchvision, where these are installed."""

from __future__ import annotations

import importlib.util
import inspect
import math
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from mobiledeploy.contract import Interpolation, Preprocessing, Provenance, Task
from mobiledeploy.errors import EnvironmentProblem, InputError, UnsupportedError
from mobiledeploy.models.checkpoints import load_file, sha256
from mobiledeploy.models.labels import imagenet_labels
from mobiledeploy.models.random_weights import image_input, seeded
from mobiledeploy.models.weights import Weights
from mobiledeploy.nearest import did_you_mean
from mobiledeploy.source import SourceModel

if TYPE_CHECKING:
    from torch import nn

INTERPOLATIONS: dict[str, Interpolation] = {
    "nearest": "nearest",
    "bilinear": "bilinear",
    "bicubic": "bicubic",
}
IMAGENET_CLASSES = 1000
OTHER_WEIGHTS = "Connect to the network, or name a state dict with --weights FILE (or --weights random)"


def load_timm(name: str, weights: Weights | None, resolution: int | None) -> SourceModel:
    """A model of timm, with the preprocessing of its ``pretrained_cfg``.

    Raises:
        InputError: timm has no such model, or the weights or the resolution do not fit it.
        EnvironmentProblem: timm is not installed, or its weights cannot be fetched.
    """
    timm = _library("timm")
    known = timm.list_models()
    if name.partition(".")[0] not in known:
        raise _unknown("timm", name, known)
    reference = f"timm:{name}"
    try:
        with seeded():
            module = timm.create_model(name, pretrained=weights is None)
    except Exception as error:
        raise _not_fetched(reference, error) from error
    config: dict[str, Any] = module.pretrained_cfg
    if weights is None:
        origin, licence = config.get("hf_hub_id") or config.get("url") or "timm", config.get("license") or ""
        provenance = Provenance(model=reference, weights=str(origin), licence=str(licence))
    else:
        provenance = _loaded(module, weights, reference)
    channels, height, width = config["input_size"]
    if (
        resolution is not None
        and config.get("fixed_input_size")
        and (resolution, resolution) != (height, width)
    ):
        raise InputError(
            f"this model takes {height}x{width} only", where=reference, hint="Leave --resolution out"
        )
    if resolution is not None:
        height = width = resolution
    return SourceModel(
        module=module.eval(),
        example_input=image_input(channels, height, width),
        task="image-classification",
        preprocessing=_timm_preprocessing(config, height, width),
        labels=imagenet_labels() if module.num_classes == IMAGENET_CLASSES else (),
        provenance=provenance,
    )


def load_torchvision(name: str, weights: Weights | None, resolution: int | None) -> SourceModel:
    """A classification or segmentation model of torchvision, with its default weights' preprocessing.

    Raises:
        InputError: torchvision has no such model, or the weights do not fit it.
        UnsupportedError: a model of another task.
        EnvironmentProblem: torchvision is not installed, or its weights cannot be fetched.
    """
    models = _library("torchvision.models")
    reference = f"torchvision:{name}"
    task = _torchvision_task(models, name, reference)
    published = models.get_model_weights(name).DEFAULT
    options: dict[str, Any] = {"weights": None}
    if "weights_backbone" in inspect.signature(models.get_model_builder(name)).parameters:
        options["weights_backbone"] = None
    with seeded():
        module: nn.Module = models.get_model(name, **options)
    if weights is None:
        provenance = _fetched(module, published.url, reference)
    else:
        provenance = _loaded(module, weights, reference)
    preprocessing = _torchvision_preprocessing(published.transforms(), resolution)
    categories = tuple(published.meta["categories"])
    return SourceModel(
        module=module.eval(),
        example_input=image_input(3, preprocessing.height, preprocessing.width),
        task=task,
        preprocessing=preprocessing,
        # torchvision's own list gives two names twice
        labels=imagenet_labels() if len(categories) == IMAGENET_CLASSES else categories,
        provenance=provenance,
    )


def _loaded(module: nn.Module, weights: Weights, reference: str) -> Provenance:
    if weights == "random":
        return Provenance(model=reference, weights="random")
    name, digest = load_file(module, weights)
    return Provenance(model=reference, weights=name, weights_sha256=digest)


def _library(name: str) -> ModuleType:
    from mobiledeploy.models.torchvision_ops import declare_missing

    package = name.partition(".")[0]
    if importlib.util.find_spec(package) is None:
        raise EnvironmentProblem(
            f"{package} is not installed", where=f"{package}:", hint=f"pip install --no-deps {package}"
        )
    declare_missing()
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise EnvironmentProblem(
            f"{package} is installed but cannot be imported ({error})",
            where=f"{package}:",
            hint=f"Install a version of {package} that fits your torch",
        ) from error


def _torchvision_task(models: ModuleType, name: str, reference: str) -> Task:
    if name in models.list_models(module=models):
        return "image-classification"
    if name in models.list_models(module=models.segmentation):
        return "image-segmentation"
    if name in models.list_models():
        raise UnsupportedError(
            "only classification and segmentation models of torchvision take one image and return tensors",
            where=reference,
            hint="Wrap the part to convert in a function and give package.module:function",
        )
    raise _unknown("torchvision", name, models.list_models())


def _unknown(library: str, name: str, known: list[str]) -> InputError:
    hint = did_you_mean(name, known, otherwise=f"See {library}'s list of models")
    return InputError(f"{library} has no such model", where=f"{library}:{name}", hint=hint)


def _fetched(module: nn.Module, url: str, reference: str) -> Provenance:
    """Load torchvision's published weights through torch's own cache, as data only."""
    import torch

    name = url.rpartition("/")[2]
    try:
        state = torch.hub.load_state_dict_from_url(url, check_hash=True, progress=False, weights_only=True)
        module.load_state_dict(state)
    except Exception as error:
        raise _not_fetched(reference, error) from error
    digest = sha256(Path(torch.hub.get_dir(), "checkpoints", name))
    return Provenance(model=reference, weights=name, weights_sha256=digest, licence="BSD-3-Clause")


def _not_fetched(reference: str, error: Exception) -> EnvironmentProblem:
    reason = str(error).partition("\n")[0]
    return EnvironmentProblem(
        f"its published weights cannot be fetched ({reason})", where=reference, hint=OTHER_WEIGHTS
    )


def _timm_preprocessing(config: dict[str, Any], height: int, width: int) -> Preprocessing:
    return Preprocessing(
        height,
        width,
        resize="stretch" if config.get("crop_mode") == "squash" else "short-side",
        resize_to=math.floor(min(height, width) / config.get("crop_pct", 1.0)),
        interpolation=INTERPOLATIONS.get(config["interpolation"], "bilinear"),
        mean=_pixels(config["mean"]),
        std=_pixels(config["std"]),
    )


def _torchvision_preprocessing(preset: Any, resolution: int | None) -> Preprocessing:
    """Presets without a crop (segmentation) resize whole photos; a static input stretches them instead."""
    crop = getattr(preset, "crop_size", None)
    resize_to = preset.resize_size[0]
    size = resolution or (crop or preset.resize_size)[0]
    return Preprocessing(
        size,
        size,
        resize="short-side" if crop else "stretch",
        resize_to=round(resize_to * size / crop[0]) if crop else 0,
        interpolation=INTERPOLATIONS.get(preset.interpolation.value, "bilinear"),
        mean=_pixels(preset.mean),
        std=_pixels(preset.std),
    )


def _pixels(values: Sequence[float]) -> tuple[float, ...]:
    """From units of 1 to pixel units; rounded, since 0.485 * 255 has float dust."""
    return tuple(round(value * 255, 6) for value in values)
