"""Where a photo was taken: a classifier whose labels are places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mobiledeploy.contract import Contract, Task
from mobiledeploy.deploy.packages.tasks.scores import check_vector, vector_length
from mobiledeploy.deploy.packages.tasks.task import Decoded, PackagedTask, check_labels
from mobiledeploy.errors import InputError, MobileDeployError
from mobiledeploy.geolocation import parse_place

if TYPE_CHECKING:
    import numpy as np

MOST = 5


class Geolocation(PackagedTask):
    """See ``PackagedTask``."""

    name: Task = "geolocation"
    title = "geolocation"
    class_name = "Geolocator"
    verb = "locate"
    doing = "locating"
    done = "located"
    does = "says where on earth a photo was taken"
    unit = "places"

    def check(self, contract: Contract, where: str) -> None:
        """See ``PackagedTask.check``."""
        check_vector(contract, where, model="a classifier", vector="vector of scores")
        check_labels(contract, self.count(contract), where)
        if not contract.labels:
            raise InputError(
                "the file has no labels, which are the places",
                where=where,
                hint="Convert it again with labels like 48.62,2.14, latitude and longitude",
            )
        try:
            for label in contract.labels:
                parse_place(label)
        except MobileDeployError as error:
            raise InputError(error.what, where=where, hint=error.hint) from error

    def count(self, contract: Contract) -> int:
        """Places."""
        return vector_length(contract)

    def decode(self, contract: Contract, outputs: Sequence[np.ndarray], size: tuple[int, int]) -> Decoded:
        """Latitude, longitude and score of the best places, the best first."""
        import numpy as np

        del size
        scores = outputs[0].reshape(-1)
        order = np.argsort(-scores, kind="stable")[:MOST]
        if contract.outputs[0].content == "logits":
            powers = np.exp(scores - scores.max())
            scores = powers / powers.sum()
        return Decoded(tuple((*parse_place(contract.labels[index]), float(scores[index])) for index in order))
