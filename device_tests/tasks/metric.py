"""What a task's metric has to give: one file beside this one for each, and one line in ``METRICS``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from mobiledeploy.contract import Contract, Preprocessing, Task, TensorSpec
from mobiledeploy.device_tests.resampling import draw, percentile_interval
from mobiledeploy.device_tests.statistics import Interval
from mobiledeploy.images import LabelledImage

if TYPE_CHECKING:
    import numpy as np

FAR = 1e-3

P_contra = TypeVar("P_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be evaluated.

    Attributes:
        task: whose metric.
        names: of the classes or attributes, in output order; empty: not known.
        far: false-accept rate of a verification, above 0 and below 1.
    """

    task: Task = "image-classification"
    names: tuple[str, ...] = ()
    far: float = FAR


CLASSES = Asked()


@dataclass(frozen=True, slots=True)
class Given:
    """What a judge is made of.

    Attributes:
        outputs: of the file, with what its contract says of them.
        contract: of the file; None: it has none.
        rule: that images are prepared by.
        images: at least one, with the truth of the task.
        asked: what is wanted.
        label_offset: output of class 0 in a classifier's labels; None: not said.
    """

    outputs: Sequence[TensorSpec]
    contract: Contract | None
    rule: Preprocessing
    images: Sequence[LabelledImage[Any]]
    asked: Asked = CLASSES
    label_offset: int | None = None


@dataclass(frozen=True, slots=True)
class Judge:
    """How the outputs of one file become predictions.

    Attributes:
        classes: that it tells apart, or the numbers of an embedding.
        predict: from an image and the file's outputs for it; raises ``InputError`` where they are no
            numbers.
        label_offset: output of class 0 in a classifier's labels.
    """

    classes: int
    predict: Callable[[LabelledImage[Any], Sequence[np.ndarray]], Any]
    label_offset: int = 0


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a metric.

    Attributes:
        name: in the field's words.
        value: 0..1.
        interval: 95%; None: none is defined for it.
    """

    name: str
    value: float
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class Resampling:
    """A metric's first figure as a function of how often each unit is drawn: what a bootstrap needs.

    Attributes:
        units: that are drawn: images, or identities.
        headline: from (replicates, units) counts to (replicates,) values, NaN where none is defined.
        replicates: worth their time.
    """

    units: int
    headline: Callable[[np.ndarray], np.ndarray]
    replicates: int = 1000

    @classmethod
    def of_right(cls, right: Sequence[bool]) -> Resampling:
        """The share of images that are right."""
        import numpy as np

        ones = np.array(right, float)
        return cls(len(ones), lambda counts: counts @ ones / counts.sum(axis=1))

    def interval(self) -> Interval | None:
        """95% of the figure, by the percentiles of a bootstrap; None: too few draws define it."""
        return percentile_interval(draw(self.units, self.headline, self.replicates))


class Metric(Protocol[P_contra]):
    """A task's metric.  Predictions are frozen data that JSON holds, with ``image`` and ``truth``."""

    task: Task

    def judge(self, given: Given) -> Judge:
        """What makes predictions.

        Raises:
            InputError: the file, its contract or the images do not fit the task.
        """
        ...

    def same(self, first: P_contra, second: P_contra) -> bool:
        """Whether two predictions for one image say the same to a user."""
        ...

    def figures(self, predictions: Sequence[P_contra], asked: Asked) -> tuple[Figure, ...]:
        """All figures, the one that stands for all of them first."""
        ...

    def details(self, predictions: Sequence[P_contra], asked: Asked) -> dict[str, Any]:
        """More that follows from the predictions, as plain data for JSON."""
        ...

    def resampling(self, predictions: Sequence[P_contra], asked: Asked) -> Resampling:
        """The first figure under weights, for intervals and for differences on the same images."""
        ...
