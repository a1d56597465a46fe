"""How a network is trained, as data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_type_hints

from mobiledeploy.errors import InputError
from mobiledeploy.settings_text import check_words, read_object, refuse_unknown, wrong

Optimizer = Literal["rmsprop", "sgd", "adamw"]
Schedule = Literal["exponential", "cosine"]
Arithmetic = Literal["fp32", "bf16", "fp16"]
_WHERE, _HINT = "settings", "Correct it"


@dataclass(frozen=True, slots=True)
class Settings:
    """The defaults are the paper's recipe (arXiv 1704.04861, section 3.2).

    It names RMSprop with the settings of Inception V3 (arXiv 1512.00567, section 8), less augmentation
    than large models need, small crops limited, and little or no weight decay on depthwise filters; it
    gives no number of epochs, no batch size and no smallest crop.  Those are ours.

    Attributes:
        epochs: times that every image is seen.
        batch_size: images of one step, over all processes.
        optimizer: ``rmsprop``, ``sgd`` (with Nesterov's momentum) or ``adamw``.
        learning_rate: at its highest.
        momentum: of ``rmsprop`` and ``sgd``.
        schedule: ``exponential``: times 0.94 every ``decay_epochs``; ``cosine``: down to 0 at the end.
        decay_epochs: of the exponential schedule.
        warmup_epochs: over which the learning rate rises from 0.
        weight_decay: of weights; biases and batch norms have none.
        depthwise_weight_decay: of depthwise filters.
        clip: largest norm of all gradients; 0: no limit.
        label_smoothing: share of a label that is given to all classes.
        smallest_crop: least share of an image's area that a training crop shows; 1: the model's own
            preprocessing, no crops.
        flip: mirror half of the images.
        ema: decay of an average of all weights over the steps, which is what is kept; 0: none.
        temperature: that soft labels of a teacher are taken at.
        arithmetic: ``bf16`` and ``fp16`` are mixed precision; the last wants a GPU.
        seed: of weights, order and crops.
    """

    epochs: int = 30
    batch_size: int = 64
    optimizer: Optimizer = "rmsprop"
    learning_rate: float = 0.045
    momentum: float = 0.9
    schedule: Schedule = "exponential"
    decay_epochs: float = 2.0
    warmup_epochs: float = 0.0
    weight_decay: float = 4e-5
    depthwise_weight_decay: float = 0.0
    clip: float = 2.0
    label_smoothing: float = 0.0
    smallest_crop: float = 0.35
    flip: bool = True
    ema: float = 0.0
    temperature: float = 1.0
    arithmetic: Arithmetic = "fp32"
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse values that no step understands.

        Raises:
            InputError: names the field and what it may be.
        """
        check_words(self, _WHERE, _HINT)
        hints = get_type_hints(type(self))
        for name, (fits, allowed) in _RANGES.items():
            value, whole = getattr(self, name), hints[name] is int
            if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
                raise wrong(name, value, "a whole number" if whole else "a number", _WHERE, _HINT)
            if not fits(value):
                raise wrong(name, value, allowed, _WHERE, _HINT)


def make_settings(base: str = "paper", *changes: Mapping[str, Any]) -> Settings:
    """A known recipe with changes, the last of which counts.

    Raises:
        InputError: an unknown recipe or field, or a value that no step understands.
    """
    if base not in PRESETS:
        raise InputError(f"there is no recipe {base!r}", where=_WHERE, hint=f"Known: {', '.join(PRESETS)}")
    data = dict(PRESETS[base])
    for change in changes:
        data.update(change)
    refuse_unknown(data, Settings, _WHERE)
    return Settings(**data)


def read_changes(text: str) -> dict[str, Any]:
    """Fields of settings from a JSON object.

    Raises:
        InputError: the text is none.
    """
    return read_object(text, _WHERE)


PRESETS: dict[str, dict[str, Any]] = {
    "paper": {},
    # What later MobileNets are trained with: cosine schedule, warm-up, averaged weights.
    "modern": {
        "optimizer": "sgd",
        "learning_rate": 0.1,
        "schedule": "cosine",
        "warmup_epochs": 2.0,
        "label_smoothing": 0.1,
        "ema": 0.999,
    },
}

_Test = tuple[Callable[[Any], bool], str]
_POSITIVE: _Test = (lambda value: value > 0, "above 0")
_NOT_NEGATIVE: _Test = (lambda value: 0 <= value < float("inf"), "0 or more")
_SHARE: _Test = (lambda value: 0 <= value < 1, "0 or more and below 1")
_RANGES: dict[str, _Test] = {
    "epochs": _POSITIVE,
    "batch_size": (lambda value: value > 1, "2 or more: a batch norm needs several images"),
    "learning_rate": (lambda value: 0 < value < float("inf"), "above 0"),
    "momentum": _SHARE,
    "decay_epochs": _POSITIVE,
    "warmup_epochs": _NOT_NEGATIVE,
    "weight_decay": _NOT_NEGATIVE,
    "depthwise_weight_decay": _NOT_NEGATIVE,
    "clip": _NOT_NEGATIVE,
    "label_smoothing": _SHARE,
    "smallest_crop": (lambda value: 0 < value <= 1, "above 0 and up to 1"),
    "ema": _SHARE,
    "temperature": _POSITIVE,
    "seed": (lambda value: 0 <= value < 2**32, "0 to 4294967295"),
}
