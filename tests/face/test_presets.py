"""Well-known preprocessings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mobiledeploy.errors import InputError
from mobiledeploy.preprocessing import normalise
from mobiledeploy.presets import PRESETS, preset


@pytest.mark.parametrize(
    ("name", "black", "white"),
    [
        ("imagenet", (-2.1179, -2.0357, -1.8044), (2.2489, 2.4286, 2.64)),
        ("inception", (-1,) * 3, (1,) * 3),
        ("lite", (-127 / 128,) * 3, (1,) * 3),
        ("unit", (0,) * 3, (1,) * 3),
        ("raw", (0,) * 3, (255,) * 3),
    ],
)
def test_presets_map_black_and_white(name: str, black: Any, white: Any) -> None:
    rule = preset(name, 224, 224)
    ends = normalise(np.array([[0] * 3, [255] * 3], np.uint8), rule)
    assert np.allclose(ends, [black, white], atol=1e-4)
    assert (rule.resize, rule.resize_to) == ("short-side", 256)


def test_presets_for_other_shapes() -> None:
    assert set(PRESETS) == {"imagenet", "inception", "lite", "unit", "raw"}
    assert preset("raw", 96, 128).resize == "stretch"
    grey = preset("unit", 28, 28, 1)
    assert (grey.channels, grey.std) == ("L", (255.0,))
    with pytest.raises(InputError, match="3 channels, the model's input has 1"):
        preset("imagenet", 28, 28, 1)
    with pytest.raises(InputError, match="no fixed size"):
        preset("raw", -1, -1)


def test_unknown_preset_lists_the_near_ones() -> None:
    with pytest.raises(InputError, match=r"'imagnet'.*Did you mean imagenet.*Presets: .*lite"):
        preset("imagnet", 224, 224)
