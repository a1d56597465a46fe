"""One output that is a vector of scores."""

from __future__ import annotations

import math
from typing import TypedDict

from mobiledeploy.contract import Contract
from mobiledeploy.errors import UnsupportedError


def vector_length(contract: Contract) -> int:
    """Numbers in the first output, of one image."""
    return math.prod(contract.outputs[0].shape[1:])


class Activation(TypedDict):
    """What turns the first output into scores, for templates.

    ``bounded``: a score is 0 to 1.
    """

    softmax: bool
    sigmoid: bool
    bounded: bool


def activation(contract: Contract) -> Activation:
    """By the contract: logits become probabilities, anything else is passed on."""
    content, task = contract.outputs[0].content, contract.task
    logits = content == "logits"
    return {
        "softmax": logits and task in ("image-classification", "geolocation"),
        "sigmoid": logits and task == "multi-label-classification",
        "bounded": content in ("logits", "probabilities"),
    }


def check_vector(contract: Contract, where: str, *, model: str, vector: str) -> None:
    """Refuse a file that gives anything but one vector.

    Args:
        contract: to look at.
        where: for messages.
        model, vector: what is wanted, for messages.

    Raises:
        UnsupportedError: says what it gives.
    """
    if len(contract.outputs) != 1:
        raise UnsupportedError(
            f"the file has {len(contract.inputs)} inputs and {len(contract.outputs)} outputs",
            where=where,
            hint=f"A package needs {model} with one image in and one {vector} out",
        )
    shape = contract.outputs[0].shape
    if min(shape, default=0) < 1 or vector_length(contract) != max(shape):
        raise UnsupportedError(
            f"the file takes {list(contract.inputs[0].shape)} and gives {list(shape)}",
            where=where,
            hint=f"A package needs fixed shapes: one image in, one {vector} out",
        )
