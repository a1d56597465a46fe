"""An older Core ML neural network (before ML Programs): its layers and weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mobiledeploy.runtimes.census import Op
from mobiledeploy.runtimes.coreml_wire import Message

# Field of the layer's kind -> name; the kinds that mobile networks use. Others show their number.
_LAYERS = {
    100: "convolution",
    120: "pooling",
    130: "activation",
    140: "innerProduct",
    150: "embedding",
    160: "batchnorm",
    165: "mvn",
    170: "l2normalize",
    175: "softmax",
    180: "lrn",
    190: "crop",
    200: "padding",
    210: "upsample",
    211: "resizeBilinear",
    220: "unary",
    230: "add",
    231: "multiply",
    240: "average",
    245: "scale",
    250: "bias",
    260: "max",
    261: "min",
    270: "dot",
    280: "reduce",
    290: "loadConstant",
    300: "reshape",
    301: "flatten",
    310: "permute",
    320: "concat",
    330: "split",
    345: "reorganizeData",
    350: "slice",
    500: "custom",
    600: "copy",
    660: "clip",
    795: "gelu",
    880: "addBroadcastable",
    890: "divideBroadcastable",
    900: "multiplyBroadcastable",
    905: "subtractBroadcastable",
    925: "stack",
    950: "softmaxND",
    975: "splitND",
    980: "concatND",
    985: "transpose",
    995: "sliceStatic",
    1045: "batchedMatmul",
    1070: "loadConstantND",
    1120: "squeeze",
    1125: "expandDims",
    1140: "reshapeStatic",
    1150: "rankPreservingReshape",
    1155: "constantPad",
    1280: "reduceMean",
    1350: "layerNormalization",
    1460: "clampedReLU",
}
# Layer -> fields that hold weights.
_WEIGHTS = {
    100: (90, 91),
    140: (20, 21),
    150: (20, 21),
    160: (15, 16, 17, 18),
    245: (2, 5),
    250: (2,),
    290: (2,),
    1045: (8, 9),
    1070: (2,),
    1350: (3, 4),
}
# Convolution, inner product and batched product.
_MULTIPLIERS = frozenset({100, 140, 1045})
_FLOATS, _HALVES, _BYTES = 1, 2, 30


@dataclass(frozen=True, slots=True)
class Network:
    """Layers, weights and labels of a neural network; mult-adds are not told (layers have no shapes)."""

    ops: tuple[Op, ...]
    parameters: int
    weight_bytes: int
    labels: tuple[str, ...]


def read_network(message: Message) -> Network:
    """Read a ``NeuralNetwork``, ``NeuralNetworkClassifier`` or ``NeuralNetworkRegressor`` message.

    Raises:
        ValueError: the bytes are no such message.
    """
    ops, count, size = [], 0, 0
    for layer in message.messages(1):
        kind = next((number for number in layer.numbers() if number >= 100), 0)
        weights = list(_weights(layer.message(kind), kind)) if kind else []
        count += sum(item[1] for item in weights)
        size += sum(item[2] for item in weights)
        dtype = max(weights, key=lambda item: item[1])[0] if weights else ""
        name, reals = _LAYERS.get(kind, f"layer {kind}"), ("float32",)
        ops.append(
            Op(
                name,
                reals,
                reals,
                dtype,
                read_as="float32" if dtype.startswith("uint") else "",
                name=layer.text(1),
                layer=name if kind in _MULTIPLIERS else "",
                parameters=sum(item[1] for item in weights),
            )
        )
    return Network(tuple(ops), count, size, message.message(100).texts(1))


def _weights(layer: Message, kind: int) -> Iterator[tuple[str, int, int]]:
    """(dtype, elements, bytes) of each weight."""
    for number in _WEIGHTS.get(kind, ()):
        weight = layer.message(number)
        floats, halves, packed = (len(weight.raw(item)) for item in (_FLOATS, _HALVES, _BYTES))
        if floats:
            yield "float32", floats // 4, floats
        elif halves:
            yield "float16", halves // 2, halves
        elif packed:
            bits = weight.message(40).number(1) or 8
            yield f"uint{bits}", packed * 8 // bits, packed
