"""How a network is trained, as data."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest

from mobiledeploy.errors import InputError
from mobiledeploy.models.training.settings import PRESETS, Settings, make_settings, read_changes


def test_default_is_the_papers_recipe() -> None:
    settings = make_settings("paper")

    assert settings == Settings()
    assert (settings.optimizer, settings.depthwise_weight_decay, settings.label_smoothing) == (
        "rmsprop",
        0,
        0,
    )


def test_last_change_counts() -> None:
    settings = make_settings("modern", {"epochs": 3, "ema": 0.9}, {"epochs": 5})

    assert (settings.epochs, settings.ema, settings.schedule) == (5, 0.9, "cosine")


@pytest.mark.parametrize("name", PRESETS)
def test_recipes_are_sound_and_survive_json(name: str) -> None:
    settings = make_settings(name)

    assert Settings(**json.loads(json.dumps(asdict(settings)))) == settings


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"epoch": 3}, "unknown field 'epoch'"),
        ({"epochs": 0}, "epochs is 0, not above 0"),
        ({"epochs": 2.5}, "epochs is 2.5, not a whole number"),
        ({"epochs": True}, "epochs is True"),
        ({"batch_size": 1}, "batch norm needs several images"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"learning_rate": "fast"}, "learning_rate is 'fast', not a number"),
        ({"optimizer": "adam"}, "rmsprop or sgd or adamw"),
        ({"flip": 1}, "flip is 1, not true or false"),
        ({"smallest_crop": 0}, "above 0 and up to 1"),
        ({"ema": 1}, "0 or more and below 1"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_what_no_step_understands_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        make_settings("paper", changes)


def test_unknown_recipe_lists_the_known() -> None:
    with pytest.raises(InputError, match="Known: paper, modern"):
        make_settings("best")


@pytest.mark.parametrize("text", ["", "{", "[1]", "3"])
def test_settings_must_be_a_json_object(text: str) -> None:
    with pytest.raises(InputError, match="JSON"):
        read_changes(text)
