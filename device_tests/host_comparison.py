"""A device's outputs beside this host's, for the same inputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

# Two sound engines round differently; the worst of 100 images of an int8 MobileNet stays far above.
SOUND_DB = 20.0


@dataclass(frozen=True, slots=True)
class HostComparison:
    """Outputs of a device less those of a host, over all images.

    Attributes:
        engine: of the host.
        images: compared.
        same: images for which both say the same: of classifiers the same class first.
        identical: images whose outputs are the same bytes.
        signal, noise: sums of squares: of the host's outputs about their mean, of the differences.
        worst_db: least signal-to-noise ratio of one image, dB; None: all are identical.
        worst_image: that one; empty: all are identical.
    """

    engine: str
    images: int = 0
    same: int = 0
    identical: int = 0
    signal: float = 0.0
    noise: float = 0.0
    worst_db: float | None = None
    worst_image: str = ""

    @property
    def sqnr_db(self) -> float | None:
        """Signal-to-noise ratio over all images, dB; None: all are identical."""
        return decibel(self.signal, self.noise)

    @property
    def sound(self) -> bool:
        """Whether what differs is rounding; else some operator computes something else there."""
        return self.worst_db is None or self.worst_db >= SOUND_DB

    def with_image(
        self, name: str, device: Sequence[np.ndarray], host: Sequence[np.ndarray], same: bool
    ) -> HostComparison:
        """With one more image.

        Args:
            name: of the image.
            device, host: its outputs as stored, of equal shapes and dtypes.
            same: both say the same.
        """
        import numpy as np

        theirs, ours = (
            np.concatenate([item.ravel().astype(np.float64) for item in side]) for side in (device, host)
        )
        finite = bool(np.isfinite(theirs).all())
        noise = float(np.square(theirs - ours).sum()) if finite else math.inf
        signal = float(np.square(ours - ours.mean()).sum())
        ratio = decibel(signal, noise)
        worst = ratio is not None and (self.worst_db is None or ratio < self.worst_db)
        return HostComparison(
            self.engine,
            self.images + 1,
            self.same + same,
            self.identical + (noise == 0),
            self.signal + signal,
            self.noise + noise,
            ratio if worst else self.worst_db,
            name if worst else self.worst_image,
        )


def decibel(signal: float, noise: float) -> float | None:
    """10 log10 of a ratio of energies, within -300..300; None where there is no noise."""
    if noise == 0:
        return None
    if signal == 0 or math.isinf(noise):
        return -300.0
    return min(300.0, max(-300.0, 10 * math.log10(signal / noise)))
