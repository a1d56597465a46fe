"""``mobiledeploy::non_max_suppression`` for coremltools."""

from __future__ import annotations

from typing import Any

OPERATION = "mobiledeploy::non_max_suppression"


def register() -> None:
    """Tell coremltools how the operation is written; a second time changes nothing."""
    from coremltools.converters.mil.frontend.torch.torch_op_registry import (
        _TORCH_OPS_REGISTRY,
        register_torch_op,
    )

    if _TORCH_OPS_REGISTRY.get_func(OPERATION) is None:
        register_torch_op(torch_alias=[OPERATION])(non_max_suppression)


def non_max_suppression(context: Any, node: Any) -> None:
    """Classes are a batch; the places that stay, -1 behind the last, get their scores and the others 0."""
    from coremltools.converters.mil import Builder as mb  # noqa: N813
    from coremltools.converters.mil.frontend.torch.ops import _get_inputs

    boxes, scores, *limits = _get_inputs(context, node, expected=5)
    threshold, overlap, largest = (limit.val for limit in limits)
    classes, count = scores.shape
    centres = _centres(mb, boxes)
    if boxes.shape[0] < classes:
        centres = mb.tile(x=centres, reps=[classes, 1, 1])
    places = _places(mb, centres, scores, float(overlap), min(int(largest), count))
    real = mb.maximum(x=places, y=0)
    kept = mb.gather_along_axis(x=scores, indices=real, axis=1)
    stays = mb.logical_and(x=mb.greater_equal(x=places, y=0), y=mb.greater_equal(x=kept, y=float(threshold)))
    updates = mb.select(cond=stays, a=kept, b=mb.mul(x=kept, y=0.0))
    none = mb.mul(x=scores, y=0.0)
    context.add(
        mb.scatter_along_axis(data=none, indices=real, updates=updates, axis=1, mode="add", name=node.name)
    )


def _centres(mb: Any, boxes: Any) -> Any:
    """Corners -> centre and size; that y comes before x changes no overlap."""
    top, left, bottom, right = mb.split(x=boxes, num_splits=4, axis=-1)
    sizes = mb.sub(x=bottom, y=top), mb.sub(x=right, y=left)
    middles = (
        mb.add(x=start, y=mb.mul(x=size, y=0.5)) for start, size in zip((top, left), sizes, strict=True)
    )
    return mb.concat(values=[*middles, *sizes], axis=-1)


def _places(mb: Any, boxes: Any, scores: Any, overlap: float, most: int) -> Any:
    """(classes, most): iOS 17 has another form of the operation."""
    from coremltools import target
    from coremltools.converters.mil.mil.block import is_current_opset_version_compatible_with

    if is_current_opset_version_compatible_with(target.iOS17):
        return mb.non_maximum_suppression(
            boxes=mb.transpose(x=boxes, perm=[0, 2, 1]),
            scores=mb.expand_dims(x=scores, axes=[1]),
            iou_threshold=overlap,
            max_boxes=most,
        )[2]
    return mb.non_maximum_suppression(
        boxes=boxes,
        scores=mb.expand_dims(x=scores, axes=[2]),
        iou_threshold=overlap,
        # What is below the threshold is taken out behind it: it suppresses nothing above.
        score_threshold=-1.0,
        max_boxes=most,
    )[2]
