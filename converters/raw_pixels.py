"""A model that takes pixels: its normalisation moved inside."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mobiledeploy.errors import UnsupportedError

if TYPE_CHECKING:
    from mobiledeploy.source import SourceModel


def raw_pixels(source: SourceModel) -> SourceModel:
    """The same model with a uint8 NCHW image input; ``(pixel - mean) / std`` happens in the graph.

    The normalisation stays in front of the first layer's zero padding, so the result is exact to
    float rounding, which folding it into the first layer's weights is not.

    Raises:
        UnsupportedError: the source does not say how its image is normalised.
    """
    import torch

    rule = source.preprocessing
    if rule is None or len(source.example_input) != 1:
        raise UnsupportedError(
            "a uint8 input needs one image input with a known normalisation",
            where=source.provenance.model or type(source.module).__name__,
            hint="Give preprocessing, or use --input-dtype float32",
        )

    mean, deviation = rule.mean, rule.std

    class RawPixels(torch.nn.Module):
        mean: torch.Tensor
        inverse_std: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.model = source.module
            self.register_buffer("mean", torch.tensor(mean).reshape(1, -1, 1, 1))
            inverse = 1 / torch.tensor(deviation, dtype=torch.float64)
            self.register_buffer("inverse_std", inverse.float().reshape(1, -1, 1, 1))

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.model((pixels.to(torch.float32) - self.mean) * self.inverse_std)
            return result

    pixels = torch.zeros(source.example_input[0].shape, dtype=torch.uint8)
    return replace(
        source,
        module=RawPixels().eval(),
        example_input=(pixels,),
        preprocessing=rule.raw_pixels(),
    )
