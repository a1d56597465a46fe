"""Where a sliding window reads: torch's paddings against TFLite's SAME and VALID."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mobiledeploy.converters.tflite.lowering import Lowering, Value
from mobiledeploy.converters.tflite.ops.pad import pad_stored

SAME, VALID = 0, 1


@dataclass(frozen=True, slots=True)
class Window:
    """One spatial axis: ``kernel`` already includes dilation."""

    size: int
    out: int
    kernel: int
    stride: int
    before: int

    @property
    def after(self) -> int:
        """Padding that the last window really reads (negative: it ends before the input does)."""
        return (self.out - 1) * self.stride + self.kernel - self.size - self.before

    @property
    def is_same(self) -> bool:
        """Whether TFLite's SAME reads just these elements: it puts the odd one behind."""
        if self.out != -(-self.size // self.stride):
            return False
        total = max((self.out - 1) * self.stride + self.kernel - self.size, 0)
        return self.before == total // 2


def place_windows(lo: Lowering, x: Value, windows: Sequence[Window], fill: float = 0.0) -> tuple[Value, int]:
    """The input and padding mode with which TFLite's windows read what torch's read."""
    if all(w.before == 0 and w.after <= 0 for w in windows):
        return x, VALID
    if all(w.is_same for w in windows):
        return x, SAME
    before = [0, 0, *(w.before for w in windows)]
    after = [0, 0, *(max(w.after, 0) for w in windows)]
    return pad_stored(lo, x, before, after, fill), VALID


def absorb_pad(lo: Lowering, x: Value, windows: Sequence[Window]) -> Value | None:
    """The value before its zero PAD, if SAME over it reads the same elements.

    Given: PAD(0 before, 1 after) -> window of 3, stride 2, VALID.  Result: window of 3, stride 2, SAME.
    For convolutions only: a pool's SAME leaves the padding out.
    """
    op = lo.producer(x)
    if op is None or op.kind != "PAD" or any(w.before or w.after > 0 for w in windows):
        return None
    source, paddings = op.inputs
    if source is None or paddings is None or paddings.data is None:
        return None
    widths = [(int(low), int(high)) for low, high in paddings.data]
    if any(low or high for axis in (0, 1) for low, high in [widths[x.stored_axis(axis)]]):
        return None
    spatial = [widths[x.stored_axis(axis)] for axis in range(2, x.rank)]
    inner = [
        Window(w.size - low - high, w.out, w.kernel, w.stride, low)
        for w, (low, high) in zip(windows, spatial, strict=True)
    ]
    return Value(source, x.order) if all(w.is_same for w in inner) else None
