"""From raw columns or pixels to logits, probabilities and label: one ONNX graph; the only file that imports onnx.

The numeric columns are put side by side first and then filled, centred and scaled together, so that a graph of 500
columns has as many nodes as one of five. Constants stand in float64 up to the end of the scaling: float32 would lose
integers above 2^24 and the seconds of a date.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from softclass import __version__
from softclass.data.image_set import ImageSpec
from softclass.data.pixels import Constants
from softclass.data.preprocessing import (
    CYCLE_SECONDS,
    FEATURE_LIMIT,
    SMOOTH_LIMIT,
    SMOOTH_SHARE,
    BooleanStep,
    CategoryStep,
    DatetimeStep,
    NumberStep,
    Preprocessing,
)
from softclass.errors import InternalError
from softclass.model.layers import ACTIVATION_OPERATORS, feature_order
from softclass.model.wire_table import IR_VERSION, OPSETS
from softclass.networks.architecture import Dense
from softclass.networks.fitted_layers import FittedConvolution, FittedLayer, FittedWaves

_NumericStep: TypeAlias = NumberStep | BooleanStep | DatetimeStep


@dataclass
class _Nodes:
    """Nodes and initialisers of a graph in the order in which they are made."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def add(self, operator: str, inputs: Sequence[str], name: str, *, domain: str = "", **attributes: Any) -> str:
        """Add a node whose one output is called `name`."""
        inner = name if name.startswith("softclass/") else f"softclass/output/{name}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=inner, domain=domain, **attributes))
        return name

    def constant(self, name: str, values: npt.ArrayLike, dtype: npt.DTypeLike) -> str:
        """Add an initialiser called softclass/`name`."""
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype=dtype), f"softclass/{name}"))
        return f"softclass/{name}"

    def texts(self, name: str, values: Sequence[str]) -> str:
        """Add an initialiser of strings called softclass/`name`."""
        self.constants.append(numpy_helper.from_array(np.array(values, dtype=object), f"softclass/{name}"))
        return f"softclass/{name}"


def build_graph(
    preprocessing: Constants,
    layers: Sequence[FittedLayer],
    classes: Sequence[str],
    *,
    temperature: float = 1.0,
    image: ImageSpec | None = None,
) -> bytes:
    r"""
    Return the ONNX graph from raw columns, or raw pixels, to probabilities.

    Outputs: ``logits`` (float32, after temperature), ``probabilities`` (their softmax) and ``label`` (the name of the
    class with the largest logit, the first on a tie).

    Parameters
    ----------
    preprocessing : Preprocessing or PixelPreprocessing
        Constants that turn columns or pixels into features.
    layers : sequence of Dense, FittedConvolution or FittedWaves
        Applied one after the other; the first takes the features, or the image if it is a convolution, the last gives
        one row a class.
    classes : sequence of str
        Names of the classes, in the order of the outputs.
    temperature : float, default 1.0
        Positive; the logits of the last layer are divided by it, in float32.
    image : ImageSpec, optional
        Size of the images; needed with PixelPreprocessing only.

    Returns
    -------
    bytes
        A serialised ModelProto without facts and seal. Equal arguments give equal bytes.

    Raises
    ------
    InternalError
        SC100, if layers do not fit or are not finite, or the checker of ONNX refuses the graph.

    Examples
    --------
    >>> import numpy as np
    >>> from softclass.data.preprocessing import NumberStep, Preprocessing
    >>> from softclass.networks.architecture import Dense
    >>> step = NumberStep(input="width", fill=3.0, mean=2.5, scale=0.5, flag=False, missing=0)
    >>> dense = Dense(weight=np.array([[1.0], [-1.0]]), bias=np.zeros(2))
    >>> graph = build_graph(Preprocessing(steps=(step,), layout="columns"), [dense], ["broad", "slim"])
    >>> len(graph) < 2000
    True
    """
    work = _Nodes()
    if layers and isinstance(layers[0], FittedConvolution):
        inputs, scaled, size = _scaled_pixels(work, preprocessing, image)
        logits = _convolutional_network(work, scaled, size, layers)
    else:
        inputs, features, order = _features(work, preprocessing, image)
        logits = _network(work, features, order, layers)
    work.add("Div", [logits, work.constant("temperature", temperature, np.float32)], "logits")
    work.add("Softmax", ["logits"], "probabilities", axis=-1)
    best = work.add("ArgMax", ["logits"], "softclass/best", axis=1, keepdims=0)
    work.add("Gather", [work.texts("classes", classes), best], "label", axis=0)
    outputs = [
        _value("logits", TensorProto.FLOAT, [len(classes)]),
        _value("probabilities", TensorProto.FLOAT, [len(classes)]),
        _value("label", TensorProto.STRING, []),
    ]
    return _finish(work, inputs, outputs)


def build_feature_graph(preprocessing: Constants, image: ImageSpec | None = None) -> bytes:
    """Return the first half of the graph with one output, ``features``, in the order of `preprocessing`; for tests."""
    work = _Nodes()
    inputs, found, order = _features(work, preprocessing, image)
    work.add("Gather", [found, work.constant("order", np.argsort(order), np.int64)], "features", axis=1)
    return _finish(work, inputs, [_value("features", TensorProto.FLOAT, [len(order)])])


def _finish(work: _Nodes, inputs: list[onnx.ValueInfoProto], outputs: list[onnx.ValueInfoProto]) -> bytes:
    """Put the model together, have it checked, and return its bytes."""
    graph = helper.make_graph(work.nodes, "softclass", inputs, outputs, work.constants)
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    model.producer_name, model.producer_version = "softclass", __version__
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise InternalError("SC100", f"the graph is not valid ONNX; {error}", where="build_graph") from error
    body: bytes = model.SerializeToString(deterministic=True)
    return body


def _value(name: str, kind: int, tail: Sequence[int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, ["N", *tail])


def _features(
    work: _Nodes, preprocessing: Constants, image: ImageSpec | None
) -> tuple[list[onnx.ValueInfoProto], str, npt.NDArray[np.int64]]:
    """Return the inputs, the name of the features and each feature's place in the order of `preprocessing`."""
    if isinstance(preprocessing, Preprocessing):
        return _column_inputs(preprocessing), _column_features(work, preprocessing), feature_order(preprocessing)
    inputs, scaled, size = _scaled_pixels(work, preprocessing, image)
    features = work.add("Flatten", [scaled], "softclass/features", axis=1)
    return inputs, features, np.arange(int(np.prod(size)), dtype=np.int64)


def _scaled_pixels(
    work: _Nodes, preprocessing: Constants, image: ImageSpec | None
) -> tuple[list[onnx.ValueInfoProto], str, tuple[int, int, int]]:
    """Return the input, the name of the centred and scaled pixels, and height, width and channels."""
    if image is None or isinstance(preprocessing, Preprocessing):
        raise InternalError("SC100", "pixels need `image`", where="build_graph")
    pixels = work.add("Cast", ["image"], "softclass/pixels", to=TensorProto.FLOAT)
    mean = work.constant("mean", preprocessing.mean, np.float32)
    std = work.constant("std", preprocessing.std, np.float32)
    centred = work.add("Sub", [pixels, mean], "softclass/centred")
    scaled = work.add("Div", [centred, std], "softclass/scaled")
    size = (image.height, image.width, image.channels)
    return [_value("image", TensorProto.UINT8, size)], scaled, size


def _column_inputs(preprocessing: Preprocessing) -> list[onnx.ValueInfoProto]:
    """Inputs in the order of the columns: one each, or all numbers and all texts together."""
    is_text = [isinstance(step, CategoryStep) for step in preprocessing.steps]
    if preprocessing.layout == "columns":
        kinds = [TensorProto.STRING if text else TensorProto.DOUBLE for text in is_text]
        return [_value(step.input, kind, [1]) for step, kind in zip(preprocessing.steps, kinds, strict=True)]
    widths = {"numbers": is_text.count(False), "texts": is_text.count(True)}
    kinds_of = {"numbers": TensorProto.DOUBLE, "texts": TensorProto.STRING}
    return [_value(name, kinds_of[name], [width]) for name, width in widths.items() if width]


def _column_features(work: _Nodes, preprocessing: Preprocessing) -> str:
    """Return the name of the features, which stand in the order of `feature_order`.

    The first layer's columns are put into that order, so that no node has to move features about.
    """
    numeric = [step for step in preprocessing.steps if not isinstance(step, CategoryStep)]
    categories = [step for step in preprocessing.steps if isinstance(step, CategoryStep)]
    blocks = _numeric_features(work, numeric, preprocessing) if numeric else []
    truth = work.constant("truth", [0.0, 1.0], np.float32) if categories else ""
    blocks += [_one_hot(work, step, number, truth, preprocessing.layout) for number, step in enumerate(categories)]
    if len(blocks) != 1:
        return work.add("Concat", blocks, "softclass/features", axis=1)
    alone = work.nodes[-1]  # the one block was made last
    alone.name = alone.output[0] = "softclass/features"
    return "softclass/features"


def _numeric_features(work: _Nodes, steps: Sequence[_NumericStep], preprocessing: Preprocessing) -> list[str]:
    """Fill, centre and scale all numeric columns at once; return the blocks of features that come out."""
    constants = [
        (0.5, 0.5, 0.5) if isinstance(step, BooleanStep) else (step.fill, step.mean, step.scale) for step in steps
    ]
    fill, mean, scale = (
        work.constant(name, values, np.float64)
        for name, values in zip(("fill", "mean", "scale"), zip(*constants, strict=True), strict=True)
    )
    numbers = "numbers"
    if preprocessing.layout == "columns":
        numbers = work.add("Concat", [step.input for step in steps], "softclass/numbers", axis=1)  # (N, columns)
    missing = work.add("IsNaN", [numbers], "softclass/missing")
    filled = work.add("Where", [missing, fill, numbers], "softclass/filled")
    centred = work.add("Sub", [filled, mean], "softclass/centred")
    scaled = work.add("Div", [centred, scale], "softclass/scaled")
    # Without a bound 1e300 becomes an infinite float32, and two of those make the logits NaN.
    bounded = _smoothly_bounded(work, scaled) if preprocessing.smooth else _clipped(work, scaled)
    blocks = [work.add("Cast", [bounded], "softclass/values", to=TensorProto.FLOAT)]

    flagged = [column for column, step in enumerate(steps) if not isinstance(step, BooleanStep) and step.flag]
    if flagged:
        chosen = work.constant("flagged", flagged, np.int64)
        flags = work.add("Gather", [missing, chosen], "softclass/flagged_missing", axis=1)
        blocks.append(work.add("Cast", [flags], "softclass/flags", to=TensorProto.FLOAT))

    cycles = [
        (column, CYCLE_SECONDS[cycle])
        for column, step in enumerate(steps)
        if isinstance(step, DatetimeStep)
        for cycle in step.cycles
    ]
    if cycles:
        columns, periods = zip(*cycles, strict=True)
        chosen = work.constant("cyclic", columns, np.int64)
        seconds = work.add("Gather", [filled, chosen], "softclass/seconds", axis=1)
        turns = work.add("Div", [seconds, work.constant("period", periods, np.float64)], "softclass/turns")
        whole = work.add("Floor", [turns], "softclass/whole_turns")
        part = work.add("Sub", [turns, whole], "softclass/part_turns")
        angle = work.add("Mul", [part, work.constant("circle", 2 * np.pi, np.float64)], "softclass/angle")
        for operator in ("Sin", "Cos"):
            wave = work.add(operator, [angle], f"softclass/{operator.lower()}_64")
            blocks.append(work.add("Cast", [wave], f"softclass/{operator.lower()}", to=TensorProto.FLOAT))
    return blocks


def _clipped(work: _Nodes, scaled: str) -> str:
    """Return numbers that are finite in float32."""
    bounds = [work.constant("lowest", -FEATURE_LIMIT, np.float64), work.constant("highest", FEATURE_LIMIT, np.float64)]
    return work.add("Clip", [scaled, *bounds], "softclass/clipped")


def _smoothly_bounded(work: _Nodes, scaled: str) -> str:
    """Return y / sqrt(1 + (y/3)^2), in double: in float32 the square of 1e20 would be infinite."""
    bounds = [work.constant(f"smooth/{name}", value, np.float64) for name, value in
              (("lowest", -SMOOTH_LIMIT), ("highest", SMOOTH_LIMIT))]  # fmt: skip
    within = work.add("Clip", [scaled, *bounds], "softclass/smooth/within")
    share = work.add("Mul", [within, work.constant("smooth/share", SMOOTH_SHARE, np.float64)], "softclass/smooth/third")
    square = work.add("Mul", [share, share], "softclass/smooth/square")
    more = work.add("Add", [square, work.constant("smooth/one", 1.0, np.float64)], "softclass/smooth/more")
    root = work.add("Sqrt", [more], "softclass/smooth/root")
    return work.add("Div", [within, root], "softclass/smooth/values")


def _one_hot(work: _Nodes, step: CategoryStep, number: int, truth: str, layout: str) -> str:
    """Turn a text column into 0 and 1: missing, other, then the known categories."""
    name = f"softclass/category/{number}"
    texts = step.input
    if layout == "matrix":
        column = work.constant(f"category/{number}/column", [number], np.int64)
        texts = work.add("Gather", ["texts", column], f"{name}/texts", axis=1)
    code = work.add(
        "LabelEncoder",
        [texts],
        f"{name}/code",
        domain="ai.onnx.ml",
        keys_strings=["", *step.categories],
        values_int64s=[0, *range(2, 2 + len(step.categories))],
        default_int64=1,
    )
    depth = work.constant(f"category/{number}/depth", 2 + len(step.categories), np.int64)
    hot = work.add("OneHot", [code, depth, truth], f"{name}/hot", axis=-1)  # (N, 1, depth)
    return work.add("Flatten", [hot], f"{name}/features", axis=1)


def _network(work: _Nodes, features: str, order: npt.NDArray[np.int64], layers: Sequence[FittedLayer]) -> str:
    """Return the name of the logits before temperature; columns of the first layer are put into `order`."""
    value, columns = features, order
    if layers and isinstance(layers[0], FittedWaves):
        value, n_waves = _waves(work, features, order, layers[0]), len(layers[0].places)
        columns = np.concatenate([order, np.arange(len(order), len(order) + n_waves)])
        layers = layers[1:]
    return _dense_layers(work, value, columns, layers, 0)


def _waves(work: _Nodes, features: str, order: npt.NDArray[np.int64], layer: FittedWaves) -> str:
    """Return the name of features and waves side by side."""
    chosen = work.constant("waves/places", np.argsort(order)[layer.places], np.int64)
    numbers = work.add("Gather", [features, chosen], "softclass/waves/numbers", axis=1)
    frequency, phase = _single(layer.frequency, "waves"), _single(layer.phase, "waves")
    turned = work.add(
        "Mul", [numbers, work.constant("waves/frequency", frequency, np.float32)], "softclass/waves/turned"
    )
    moved = work.add("Add", [turned, work.constant("waves/phase", phase, np.float32)], "softclass/waves/moved")
    waves = work.add("Cos", [moved], "softclass/waves/values")
    return work.add("Concat", [features, waves], "softclass/waves/features", axis=1)


def _convolutional_network(work: _Nodes, pixels: str, size: tuple[int, int, int], layers: Sequence[FittedLayer]) -> str:
    """Return the name of the logits before temperature."""
    value = work.add("Transpose", [pixels], "softclass/features", perm=[0, 3, 1, 2])
    height, width, channels = size
    number = 0
    for number, layer in enumerate(layers):
        if not isinstance(layer, FittedConvolution):
            break
        maps, n_in, kernel, _ = layer.weight.shape
        if n_in != channels:
            raise InternalError("SC100", f"layer {number} takes {n_in} maps; it gets {channels}", where="build_graph")
        weight, bias = _single(layer.weight, f"layer {number}"), _single(layer.bias, f"layer {number}")
        constants = [
            work.constant(f"layer/{number}/weight", weight, np.float32),
            work.constant(f"layer/{number}/bias", bias, np.float32),
        ]
        name = f"softclass/layer/{number}"
        value = work.add("Conv", [value, *constants], name, kernel_shape=[kernel, kernel], pads=list(layer.pads))
        if layer.pooled:
            value = work.add("MaxPool", [value], f"{name}/pooled", kernel_shape=[2, 2], strides=[2, 2])
        value = work.add("Relu", [value], f"{name}/relu")
        top, left, bottom, right = layer.pads
        step = 2 if layer.pooled else 1
        height, width = (height + top + bottom - kernel + 1) // step, (width + left + right - kernel + 1) // step
        channels = maps
    flat = work.add("Flatten", [value], "softclass/flat", axis=1)
    return _dense_layers(work, flat, np.arange(channels * height * width), layers[number:], number)


def _dense_layers(
    work: _Nodes, value: str, columns: npt.NDArray[np.int64], layers: Sequence[FittedLayer], first: int
) -> str:
    """Return the name of what the last of them gives; the first is number `first` of the network."""
    width = len(columns)
    for number, layer in enumerate(layers, start=first):
        if not isinstance(layer, Dense):
            raise InternalError("SC100", f"layer {number} must be dense", where="build_graph")
        n_out, n_in = layer.weight.shape
        if n_in != width:
            raise InternalError("SC100", f"layer {number} takes {n_in} values; it gets {width}", where="build_graph")
        weight = _single(layer.weight[:, columns] if number == first else layer.weight, f"layer {number}")
        constants = [
            work.constant(f"layer/{number}/weight", weight, np.float32),
            work.constant(f"layer/{number}/bias", _single(layer.bias, f"layer {number}"), np.float32),
        ]
        name = f"softclass/layer/{number}"
        value = work.add("Gemm", [value, *constants], name, transB=1)
        if layer.activation:
            value = work.add(ACTIVATION_OPERATORS[layer.activation], [value], f"{name}/{layer.activation}")
        width = n_out
    return value


def _single(values: npt.NDArray[np.float64], what: str) -> npt.NDArray[np.float32]:
    """Round to float32, which must leave all of them finite."""
    rounded = values.astype(np.float32)
    if not np.isfinite(rounded).all():
        raise InternalError("SC100", f"{what} must be finite in float32; it is not", where="build_graph")
    return rounded
