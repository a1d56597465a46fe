"""What a model file costs, counted from its own operations."""

from __future__ import annotations

from mobiledeploy.errors import UnsupportedError
from mobiledeploy.layer_cost import OTHER, Cost, LayerCost
from mobiledeploy.runtimes.census import Artifact


def file_cost(artifact: Artifact) -> Cost:
    """The layers of a file, float or quantized, in its order.

    Constants that an operation of another kind reads (a mean to subtract, say) are ``Other``.

    Raises:
        UnsupportedError: the file does not tell the shapes that a layer's mult-adds depend on.
    """
    for op in artifact.contents.ops:
        if op.layer and not op.mult_adds:
            raise UnsupportedError(
                f"the file leaves the shapes of layer {op.name or op.kind} open, so its cost is not told",
                where=str(artifact.path),
                hint="Give a file with static shapes; of Core ML, an ML Program",
            )
    return Cost(
        tuple(
            LayerCost(op.name, op.layer or OTHER, op.mult_adds, op.parameters - op.biases, op.biases)
            for op in artifact.contents.ops
            if op.mult_adds or op.parameters
        )
    )
