from __future__ import annotations

import pytest

from mobiledeploy.errors import InputError
from mobiledeploy.quantize import Recipe


def test_a_recipe_survives_json() -> None:
    recipe = Recipe(weights="per-tensor", ranges="entropy", exempt=("features.0",), float_output=True)
    assert Recipe.from_json(recipe.to_json()) == recipe
    assert Recipe.from_json("{}") == Recipe()


@pytest.mark.parametrize(("text", "equalisation"), [("true", "on"), ("false", "off"), ('"auto"', "auto")])
def test_recipes_from_before_equalisation_was_a_choice(text: str, equalisation: str) -> None:
    assert Recipe.from_json(f'{{"equalisation":{text}}}').equalisation == equalisation


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('{"weights": "per-row"}', "weights"),
        ('{"ranges": 3}', "ranges"),
        ('{"percentile": 20}', "percentile"),
        ('{"percentile": "high"}', "percentile"),
        ('{"fine_tuning": -1}', "fine_tuning"),
        ('{"fine_tuning": true}', "fine_tuning"),
        ('{"fine_tuning": 2.5}', "fine_tuning"),
        ('{"learning_rate": 0}', "learning_rate"),
        ('{"learning_rate": 2}', "learning_rate"),
        ('{"learning_rate": NaN}', "learning_rate"),
        ('{"batch": 0}', "batch"),
        ('{"float_output": "no"}', "float_output"),
        ('{"exempt": "features.0"}', "exempt"),
        ('{"ranked_output": 1}', "ranked_output"),
        ('{"equalization": true}', "equalization"),
        ('{"equalisation": 1}', "equalisation"),
        ('{"equalisation": "yes"}', "equalisation"),
        ("[]", "object"),
        ("{", "JSON"),
    ],
)
def test_nonsense_is_refused_by_name(text: str, field: str) -> None:
    with pytest.raises(InputError, match=field):
        Recipe.from_json(text)


def test_fine_tuning_needs_inputs() -> None:
    recipe = Recipe(activations="float", fine_tuning=2).without_inputs()
    assert (recipe.fine_tuning, recipe.needs_inputs) == (0, False)
    assert Recipe.from_json(recipe.to_json().replace('"fine_tuning":0', '"fine_tuning":1')).needs_inputs
