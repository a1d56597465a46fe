"""Which tensors become int8, and which of them share a scale: the PT2E quantizer for mobile networks."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping

import torch
from torch.fx import GraphModule, Node

from mobiledeploy.quantize.geometry import geometry
from mobiledeploy.quantize.graph import CLIPS, LAYERS, module_path
from mobiledeploy.quantize.observers import WEIGHT_LIMIT, ActivationObserver, PerChannelWeightObserver
from mobiledeploy.quantize.pt2e import (
    DerivedQuantizationSpec,
    FixedQParamsQuantizationSpec,
    QuantizationAnnotation,
    QuantizationSpec,
    Quantizer,
    SharedQuantizationSpec,
)
from mobiledeploy.quantize.ranges import INT8, INT16
from mobiledeploy.quantize.recipe import Recipe

_ANNOTATION = "quantization_annotation"
_INT32 = 2**31 - 1

# Two tensors in, a range of its own out; a clip behind it belongs to it.
_ARITHMETIC = frozenset({"aten.add.Tensor", "aten.sub.Tensor", "aten.mul.Tensor"})
# One tensor in, a range of its own out.
_UNARY = CLIPS | {
    "aten.hardswish.default",
    "aten.hardsigmoid.default",
    "aten.silu.default",
    "aten.gelu.default",
    "aten.elu.default",
    "aten.leaky_relu.default",
    "aten.mean.dim",
}
# One tensor in, the same codes out: values are moved, or averaged without leaving their range.
_SAME_RANGE = frozenset(
    {
        "aten.max_pool2d.default",
        "aten.avg_pool2d.default",
        "aten.pad.default",
        "aten.constant_pad_nd.default",
        "aten.reshape.default",
        "aten.view.default",
        "aten.flatten.using_ints",
        "aten.unflatten.int",
        "aten.squeeze.default",
        "aten.squeeze.dim",
        "aten.squeeze.dims",
        "aten.unsqueeze.default",
        "aten.permute.default",
        "aten.transpose.int",
        "aten.contiguous.default",
        "aten.clone.default",
        "aten.expand.default",
        "aten.slice.Tensor",
        "aten.select.int",
        "aten.pixel_shuffle.default",
        "aten.channel_shuffle.default",
        "aten.upsample_nearest2d.default",
        "aten.upsample_nearest2d.vec",
        "aten.upsample_bilinear2d.default",
        "aten.upsample_bilinear2d.vec",
    }
)
_SPLITS = frozenset({"aten.split.Tensor", "aten.split_with_sizes.default", "aten.chunk.default"})
# TFLite has no int16 kernels for these.
_INT8_ONLY = frozenset(
    {
        "aten.hardswish.default",
        "aten.hardsigmoid.default",
        "aten.silu.default",
        "aten.gelu.default",
        "aten.elu.default",
    }
)
# Scale and zero point that TFLite prescribes for these results.
_FIXED_INT8: Mapping[str, tuple[float, int]] = {
    "aten.sigmoid.default": (1 / 256, -128),
    "aten.softmax.int": (1 / 256, -128),
    "aten._softmax.default": (1 / 256, -128),
    "aten.tanh.default": (1 / 128, 0),
}
_FIXED_INT16: Mapping[str, tuple[float, int]] = dict.fromkeys(_FIXED_INT8, (1 / 32768, 0))
# What an output may pass through behind the unit that makes it.
_BEHIND = _SAME_RANGE | _UNARY | _FIXED_INT8.keys() | {"aten.cat.default"}
_ADAPTIVE_POOL = "aten.adaptive_avg_pool2d.default"


class MobileQuantizer(Quantizer):  # type: ignore[misc]
    """Annotates every operation that has an int8 kernel.

    Units with one range each: layer and the clip behind it, arithmetic and the clip behind it.
    Concatenation, pooling, padding and reshaping give their output the range of their input;
    sigmoid, softmax and tanh have a fixed one.  Biases are int32 in steps of input scale times
    weight scale; beside int16 activations they stay float, for the target to store in 64 bits.
    Everything else stays float, and ``float_nodes`` lists it afterwards, but for what a detector computes of
    boxes (see ``geometry``).
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self._recipe = recipe
        is_int16 = recipe.activations == "int16"
        self._codes = INT16 if is_int16 else INT8
        self._fixed = _FIXED_INT16 if is_int16 else _FIXED_INT8
        self._float_results: frozenset[Node] = frozenset()
        self.float_nodes: tuple[Node, ...] = ()

    def annotate(self, model: GraphModule) -> GraphModule:
        """Write the annotations into the nodes' metadata."""
        if self._recipe.activations == "float":
            self._annotate_weights(model)
            return model
        results = list(_results(model))
        self._float_results = frozenset(_tails(results)) if self._recipe.float_output else frozenset()
        boxes = geometry(model, _SAME_RANGE | {"aten.cat.default"})
        left: list[Node] = []
        for node in model.graph.nodes:
            if node.op != "call_function" or _ANNOTATION in node.meta or node in boxes:
                continue
            if self._is_exempt(node) or not self._annotate(node):
                left.append(node)
        self.float_nodes = tuple(left)
        self._mark_outputs(results)
        return model

    def validate(self, model: GraphModule) -> None:
        """Nothing to check: what cannot be annotated stays float."""

    def _annotate_weights(self, model: GraphModule) -> None:
        """int8 weights in a graph of reals."""
        for node in model.graph.nodes:
            weight = _own_weight(node)
            if weight is not None and not self._is_exempt(node):
                _put(node, {weight: self._weights()}, None)

    def _annotate(self, node: Node) -> bool:
        """Whether the node is quantized now."""
        if not _is_float(node):
            return node.target is operator.getitem
        name = str(node.target)
        if name in _INT8_ONLY and self._codes is not INT8:
            return False
        inputs = [item for item in node.all_input_nodes if _is_float(item)]
        if name in LAYERS:
            return self._layer(node)
        if name in _ARITHMETIC:
            if len(node.args) < 2 or not all(isinstance(item, Node) for item in node.args[:2]) or node.kwargs:
                return False
            self._unit(node, inputs)
        elif name in _UNARY or (name == _ADAPTIVE_POOL and _is_global(node)):
            self._own_range(node, inputs)
        elif name in self._fixed:
            if node not in self._float_results:
                _put(node, {item: self._input(item) for item in inputs}, self._fixed_range(name))
        elif name in _SAME_RANGE or name == _ADAPTIVE_POOL or name == "aten.cat.default":
            self._same_range(node, inputs)
        elif name in _SPLITS:
            self._split(node, inputs[0])
        else:
            return False
        return True

    def _is_exempt(self, node: Node) -> bool:
        """Named by the recipe, itself or a module around it; the clip behind an exempt layer is, too."""
        path = module_path(node)
        if any(path == exempt or path.startswith(f"{exempt}.") for exempt in self._recipe.exempt):
            return True
        before = node.all_input_nodes
        is_clip = str(node.target) in CLIPS and len(before) == 1 and len(before[0].users) == 1
        return is_clip and str(before[0].target) in LAYERS and self._is_exempt(before[0])

    def _layer(self, node: Node) -> bool:
        weight = _own_weight(node)
        if weight is None:
            return False
        data, bias = node.all_input_nodes[0], node.all_input_nodes[2]
        weights = self._weights()
        specs: dict[Node, object] = {data: self._input(data), weight: weights}
        if self._codes is INT8:
            specs[bias] = DerivedQuantizationSpec(
                derived_from=[(data, node), (weight, node)],
                derive_qparams_fn=_bias_parameters,
                dtype=torch.int32,
                quant_min=-_INT32,
                quant_max=_INT32,
                qscheme=weights.qscheme,
                ch_axis=0,
            )
        self._unit(node, [], specs)
        return True

    def _weights(self) -> QuantizationSpec:
        per_channel = self._recipe.weights == "per-channel"
        return QuantizationSpec(
            dtype=torch.int8,
            observer_or_fake_quant_ctr=PerChannelWeightObserver.with_args(per_channel=per_channel),
            quant_min=-WEIGHT_LIMIT,
            quant_max=WEIGHT_LIMIT,
            qscheme=torch.per_channel_symmetric if per_channel else torch.per_tensor_symmetric,
            ch_axis=0,
        )

    def _unit(self, node: Node, inputs: list[Node], specs: dict[Node, object] | None = None) -> None:
        """The node and, if it is the only reader, the clip behind it; one range, after the clip."""
        specs = specs or {item: self._input(item) for item in inputs}
        clip = next(iter(node.users))
        if len(node.users) == 1 and str(clip.target) in CLIPS and not self._is_exempt(clip):
            _put(node, specs, None)
            _put(clip, {}, self._result(clip))
        else:
            _put(node, specs, self._result(node))

    def _own_range(self, node: Node, inputs: list[Node]) -> None:
        if node in self._float_results:
            # A float tail: behind the last layer nothing goes back to int8.
            _put(node, {}, None)
        else:
            _put(node, {item: self._input(item) for item in inputs}, self._activation())

    def _same_range(self, node: Node, inputs: list[Node]) -> None:
        if node in self._float_results:
            _put(node, {}, None)
            return
        shared = SharedQuantizationSpec((inputs[0], node))
        specs: dict[Node, object] = dict.fromkeys(inputs[1:], shared)
        specs[inputs[0]] = self._input(inputs[0]) if len(inputs) == 1 else self._activation()
        _put(node, {item: specs[item] for item in inputs}, shared)

    def _split(self, node: Node, data: Node) -> None:
        _put(node, {data: self._input(data)}, None)
        for part in node.users:
            _put(part, {}, SharedQuantizationSpec((data, node)))

    def _result(self, node: Node) -> QuantizationSpec | None:
        return None if node in self._float_results else self._activation()

    def _input(self, item: Node) -> QuantizationSpec | FixedQParamsQuantizationSpec:
        """How a tensor is read: PT2E shares codes between its writer and readers if they say the same."""
        origin = item
        while str(origin.target) in _SAME_RANGE:
            origin = origin.all_input_nodes[0]
        if str(origin.target) in self._fixed and not self._is_exempt(origin):
            return self._fixed_range(str(origin.target))
        return self._activation()

    def _activation(self, is_output: bool = False) -> QuantizationSpec:
        codes = self._codes
        observer = ActivationObserver.with_args(recipe=self._recipe, codes=codes, is_output=is_output)
        return QuantizationSpec(codes.dtype, observer, codes.lowest, codes.highest, torch.per_tensor_affine)

    def _fixed_range(self, name: str) -> FixedQParamsQuantizationSpec:
        scale, zero_point = self._fixed[name]
        codes = self._codes
        return FixedQParamsQuantizationSpec(
            codes.dtype, scale, zero_point, codes.lowest, codes.highest, torch.per_tensor_affine
        )

    def _mark_outputs(self, results: list[Node]) -> None:
        """Outputs of the model have a range that never clips high values."""
        for result in results:
            node = result
            while str(node.target) in _SAME_RANGE:
                node = node.all_input_nodes[0]
            annotation = node.meta.get(_ANNOTATION)
            if annotation is not None and isinstance(annotation.output_qspec, QuantizationSpec):
                annotation.output_qspec = self._activation(is_output=True)


def _bias_parameters(
    observers: list[ActivationObserver | PerChannelWeightObserver],
) -> tuple[torch.Tensor, torch.Tensor]:
    (data_scale, _), (weight_scale, _) = (observer.calculate_qparams() for observer in observers)
    return data_scale * weight_scale, torch.zeros(len(weight_scale), dtype=torch.int64)


def _put(node: Node, inputs: Mapping[Node, object], output: object) -> None:
    node.meta[_ANNOTATION] = QuantizationAnnotation(
        input_qspec_map=dict(inputs), output_qspec=output, _annotated=True
    )


def _own_weight(node: Node) -> Node | None:
    """The weight of a layer that reads weight and bias from parameters; None for any other node."""
    if str(node.target) not in LAYERS or len(node.all_input_nodes) != 3:
        return None
    _, weight, bias = node.all_input_nodes
    return weight if weight.op == bias.op == "get_attr" else None


def _is_float(node: Node) -> bool:
    value = node.meta.get("val")
    values = value if isinstance(value, list | tuple) else [value]
    return all(isinstance(item, torch.Tensor) and item.dtype == torch.float32 for item in values)


def _is_global(node: Node) -> bool:
    return tuple(node.meta["val"].shape[-2:]) == (1, 1)


def _results(model: GraphModule) -> Iterator[Node]:
    for node in model.graph.find_nodes(op="output"):
        yield from node.all_input_nodes


def _tails(results: list[Node]) -> Iterator[Node]:
    """The nodes from each output back to the unit that makes it, that unit included."""
    pending = list(results)
    while pending:
        node = pending.pop()
        yield node
        if str(node.target) in _BEHIND:
            pending.extend(node.all_input_nodes)
