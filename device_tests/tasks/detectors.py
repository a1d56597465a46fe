"""From a detector's outputs to objects: one decoder for each form of outputs, and one line in ``_FORMS``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from mobiledeploy.contract import Anchors, Contract, TensorSpec
from mobiledeploy.detection import Detections, count_anchors, decode, decode_proposals
from mobiledeploy.device_tests.scores import real_values
from mobiledeploy.errors import InputError, UnsupportedError

if TYPE_CHECKING:
    import numpy as np

# COCO counts the best 100 of an image; what scores less comes last in its ranking and costs time.
THRESHOLD, LARGEST = 0.01, 100
_STAGES = ("proposals", "boxes", "classes")
_OBJECTS = ("boxes", "scores", "classes", "count")
# COCO numbers its classes up to 90, and so do detectors without labels.
_COCO = 90


class Decoder(Protocol):
    """How outputs of one form become objects."""

    @property
    def classes(self) -> int:
        """That it tells apart, the background not counted."""
        ...

    def decode(self, outputs: Sequence[np.ndarray]) -> Detections:
        """The objects on one image, as shares of what the model saw.

        Raises:
            InputError: an output is not a number.
        """
        ...


@dataclass(frozen=True, slots=True)
class RawHeads:
    """Boxes relative to anchors, and logits of each, the background first.

    Attributes:
        boxes, logits: place among the outputs, and what the file says of them.
        anchors: of the contract.
    """

    boxes: tuple[int, TensorSpec]
    logits: tuple[int, TensorSpec]
    anchors: Anchors

    @property
    def classes(self) -> int:
        """See ``Decoder``."""
        return self.logits[1].shape[2] - 1

    def decode(self, outputs: Sequence[np.ndarray]) -> Detections:
        """See ``Decoder``."""
        coded, logits = (real_values(spec, outputs[place])[0] for place, spec in (self.boxes, self.logits))
        return decode(coded, logits, self.anchors, threshold=THRESHOLD, largest=LARGEST)


def _raw_heads(contract: Contract, outputs: Sequence[TensorSpec]) -> RawHeads | None:
    named = {spec.name: (place, spec) for place, spec in enumerate(outputs)}
    if contract.anchors is None or named.keys() != {"boxes", "classes"}:
        return None
    count = count_anchors(contract.anchors)
    boxes, logits = named["boxes"], named["classes"]
    if boxes[1].shape != (1, count, 4) or logits[1].shape[:2] != (1, count) or len(logits[1].shape) != 3:
        raise InputError(
            f"outputs of {list(boxes[1].shape)} and {list(logits[1].shape)} do not fit {count} anchors",
            hint="Convert the model again with its own anchors",
        )
    return RawHeads(boxes, logits, contract.anchors)


@dataclass(frozen=True, slots=True)
class TwoStages:
    """Proposals, boxes relative to them for each class, and logits of each, the background first.

    Attributes:
        parts: place of ``proposals``, ``boxes`` and ``classes`` among the outputs, and what the file says.
    """

    parts: tuple[tuple[int, TensorSpec], ...]

    @property
    def classes(self) -> int:
        """See ``Decoder``."""
        return self.parts[2][1].shape[2] - 1

    def decode(self, outputs: Sequence[np.ndarray]) -> Detections:
        """See ``Decoder``."""
        proposals, coded, logits = (real_values(spec, outputs[place])[0] for place, spec in self.parts)
        return decode_proposals(proposals, coded, logits, threshold=THRESHOLD, largest=LARGEST)


def _two_stages(_contract: Contract, outputs: Sequence[TensorSpec]) -> TwoStages | None:
    named = {spec.name: (place, spec) for place, spec in enumerate(outputs)}
    if named.keys() != set(_STAGES) or len(named["classes"][1].shape) != 3:
        return None
    return TwoStages(tuple(named[name] for name in _STAGES))


@dataclass(frozen=True, slots=True)
class Decoded:
    """Objects that the file itself has found; what it left out is lost for the metric, too.

    Attributes:
        places: of ``boxes``, ``scores``, ``classes`` and ``count`` among the outputs.
        classes: see ``Decoder``.
    """

    places: Mapping[str, int]
    classes: int

    def decode(self, outputs: Sequence[np.ndarray]) -> Detections:
        """See ``Decoder``."""
        boxes, scores, classes, count = (outputs[self.places[name]][0] for name in _OBJECTS)
        number = int(count)
        return Detections(boxes[:number], scores[:number], classes[:number].astype(int))


def _decoded(contract: Contract, outputs: Sequence[TensorSpec]) -> Decoded | None:
    places = {spec.name: place for place, spec in enumerate(outputs)}
    if contract.suppression is None or not set(_OBJECTS) <= places.keys():
        return None
    return Decoded(places, len(contract.labels) or _COCO)


_FORMS: tuple[Callable[[Contract, Sequence[TensorSpec]], Decoder | None], ...] = (
    _raw_heads,
    _two_stages,
    _decoded,
)


def find_decoder(contract: Contract | None, outputs: Sequence[TensorSpec]) -> Decoder:
    """The decoder that fits a file.

    Args:
        contract: of the file; it has the anchors.
        outputs: of the file, in its order.

    Raises:
        InputError: the outputs do not fit the contract.
        UnsupportedError: no decoder knows them; lists them.
    """
    for form in _FORMS if contract else ():
        if contract and (decoder := form(contract, outputs)):
            return decoder
    listed = ", ".join(f"{spec.name} {'x'.join(map(str, spec.shape))}" for spec in outputs)
    raise UnsupportedError(
        f"no objects can be read from its outputs ({listed})",
        hint="Convert a detector of the zoo, or a SourceModel with anchors and the outputs boxes and classes",
    )
