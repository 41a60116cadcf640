"""The order of the features in the graph, and the fitted layers read back out of it; needs no onnx."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from softclass.data.pixels import Constants
from softclass.data.preprocessing import (
    CategoryStep,
    DatetimeStep,
    NumberStep,
    Preprocessing,
    Step,
    n_features_of_step,
)
from softclass.model.wire import read_graph
from softclass.networks.architecture import Dense
from softclass.networks.fitted_layers import FittedConvolution, FittedLayer, FittedWaves

ACTIVATION_OPERATORS = {"relu": "Relu", "tanh": "Tanh", "sigmoid": "Sigmoid", "selu": "Selu"}
_ACTIVATIONS = {operator: name for name, operator in ACTIVATION_OPERATORS.items()}


def read_layers(data: bytes, preprocessing: Constants) -> tuple[FittedLayer, ...]:
    """
    Return the layers of a model, the first with its columns in the order of the features.

    Parameters
    ----------
    data : bytes
        A model that was checked, without its seal.
    preprocessing : Preprocessing or PixelPreprocessing
        Of the same model.

    Returns
    -------
    tuple of Dense, FittedConvolution or FittedWaves
        Weights and biases as the file holds them, float32 values in float64 arrays.

    Examples
    --------
    >>> from softclass.model.graph import build_graph
    >>> step = NumberStep(input="width", fill=3.0, mean=2.5, scale=0.5, flag=False, missing=0)
    >>> preprocessing = Preprocessing(steps=(step,), layout="columns")
    >>> dense = Dense(weight=np.array([[1.0], [-1.0]]), bias=np.zeros(2))
    >>> read_layers(build_graph(preprocessing, [dense], ["broad", "slim"]), preprocessing)[0].weight.tolist()
    [[1.0], [-1.0]]
    """
    graph = read_graph(data)
    order = feature_order(preprocessing) if isinstance(preprocessing, Preprocessing) else None
    layers: list[FittedLayer] = []
    values = {name: tensor.numbers().astype(np.float64) for name, tensor in graph.tensors.items() if "/waves/" in name}
    if values and order is not None:
        places = order[values["softclass/waves/places"].astype(np.int64)]
        layers.append(FittedWaves(places, values["softclass/waves/frequency"], values["softclass/waves/phase"]))
    pooled = {node.inputs[0] for node in graph.nodes if node.operator == "MaxPool"}
    activations = {node.inputs[0]: _ACTIVATIONS[node.operator] for node in graph.nodes if node.operator in _ACTIVATIONS}
    for number, node in enumerate(node for node in graph.nodes if node.operator in ("Conv", "Gemm")):
        weight, bias = (graph.tensors[name].numbers().astype(np.float64) for name in node.inputs[1:])
        if node.operator == "Conv":
            layers.append(FittedConvolution(weight, bias, node.attributes["pads"], node.output in pooled))
            continue
        if number == 0 and order is not None:
            weight[:, order] = weight[:, : len(order)].copy()
        layers.append(Dense(weight, bias, activations.get(node.output, "")))
    return tuple(layers)


def feature_order(preprocessing: Preprocessing) -> npt.NDArray[np.int64]:
    """
    Return the place of each feature of the graph among the features of the preprocessing.

    The graph keeps all scaled numbers together, then all flags, sines, cosines and categories. The writer and the
    reader of a graph both ask here.

    Examples
    --------
    >>> steps = tuple(NumberStep(input=name, fill=0.0, mean=0.0, scale=1.0, flag=True, missing=1) for name in "ab")
    >>> feature_order(Preprocessing(steps=steps, layout="columns")).tolist()
    [0, 2, 1, 3]
    """
    starts = np.cumsum([0, *(n_features_of_step(step) for step in preprocessing.steps)])[:-1].tolist()
    placed = list(zip(starts, preprocessing.steps, strict=True))
    numeric = [(start, step) for start, step in placed if not isinstance(step, CategoryStep)]
    waves = [
        start + 1 + _flag(step) + 2 * number
        for start, step in numeric
        if isinstance(step, DatetimeStep)
        for number in range(len(step.cycles))
    ]
    order = [start for start, _ in numeric]
    order += [start + 1 for start, step in numeric if _flag(step)]
    order += waves + [place + 1 for place in waves]
    for start, step in placed:
        if isinstance(step, CategoryStep):
            order += range(start, start + n_features_of_step(step))
    return np.array(order, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class NetworkPlaces:
    """Where the inputs of a network stand among the features.

    Attributes
    ----------
    numbers : int64 array of shape (n_numbers,)
        The features that are numbers: all but the indicators of categories, in order.
    indicators : tuple of int
        The feature of the first code of each category column.
    codes : tuple of int
        How many codes each category column has.
    """

    numbers: npt.NDArray[np.int64]
    indicators: tuple[int, ...]
    codes: tuple[int, ...]


def network_places(preprocessing: Preprocessing) -> NetworkPlaces:
    """
    Return where numbers and category columns stand among the features.

    Examples
    --------
    >>> steps = (CategoryStep("sex", ("f", "m"), 0, 0), NumberStep("age", 0.0, 0.0, 1.0, True, 1))
    >>> places = network_places(Preprocessing(steps=steps, layout="columns"))
    >>> places.numbers.tolist(), places.indicators, places.codes
    ([4, 5], (0,), (4,))
    """
    widths = [n_features_of_step(step) for step in preprocessing.steps]
    starts = np.cumsum([0, *widths]).tolist()
    numbers: list[int] = []
    indicators: list[int] = []
    codes: list[int] = []
    for step, start, width in zip(preprocessing.steps, starts, widths, strict=False):
        if isinstance(step, CategoryStep):
            indicators.append(start)
            codes.append(width)
        else:
            numbers += range(start, start + width)
    return NetworkPlaces(np.array(numbers, dtype=np.int64), tuple(indicators), tuple(codes))


def _flag(step: Step) -> bool:
    return isinstance(step, NumberStep | DatetimeStep) and step.flag
