"""The order of the features in the graph, and the fitted layers read back out of it; needs no onnx."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from softclass.data.pixels import PixelPreprocessing
from softclass.data.preprocessing import (
    CategoryStep,
    DatetimeStep,
    NumberStep,
    Preprocessing,
    Step,
    n_features_of,
)
from softclass.model.wire import read_graph
from softclass.networks.architecture import Dense


def read_layers(data: bytes, preprocessing: Preprocessing | PixelPreprocessing) -> tuple[Dense, ...]:
    """
    Return the dense layers of a model, the first with its columns in the order of the features.

    Parameters
    ----------
    data : bytes
        A model that was checked, without its seal.
    preprocessing : Preprocessing or PixelPreprocessing
        Of the same model.

    Returns
    -------
    tuple of Dense
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
    tensors = read_graph(data).tensors
    layers: list[Dense] = []
    while f"softclass/layer/{len(layers)}/weight" in tensors:
        name = f"softclass/layer/{len(layers)}"
        weight = tensors[f"{name}/weight"].numbers().astype(np.float64)
        if not layers and isinstance(preprocessing, Preprocessing):
            weight[:, feature_order(preprocessing)] = weight.copy()
        layers.append(Dense(weight, tensors[f"{name}/bias"].numbers().astype(np.float64)))
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
    starts = np.cumsum([0, *(n_features_of(step) for step in preprocessing.steps)])[:-1].tolist()
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
            order += range(start, start + n_features_of(step))
    return np.array(order, dtype=np.int64)


def _flag(step: Step) -> bool:
    return isinstance(step, NumberStep | DatetimeStep) and step.flag
