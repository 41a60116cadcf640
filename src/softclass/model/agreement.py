"""Facts and graph must say the same, both ways: else a file could name one thing and compute another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from softclass.data.preprocessing import BooleanStep, CategoryStep, Preprocessing
from softclass.errors import ModelFileError, shown
from softclass.model.layer_facts import ConvolutionFacts, WavesFacts
from softclass.model.layers import ACTIVATION_OPERATORS
from softclass.model.manifest import Manifest
from softclass.model.shapes import BATCH, Shape
from softclass.model.wire import Graph
from softclass.model.wire_table import DOUBLE, FLOAT, HINT, STRING, TYPE_NAMES, UINT8

_ACTIVATIONS = frozenset(ACTIVATION_OPERATORS.values())


def check_agreement(graph: Graph, shapes: dict[str, Shape], manifest: Manifest) -> None:
    """
    Refuse a file whose facts and graph differ.

    Parameters
    ----------
    graph : Graph
        As read from the file.
    shapes : dict of str to (type, dimensions)
        As the shape walk found them.
    manifest : Manifest
        The facts of the same file.

    Raises
    ------
    ModelFileError
        SC406, naming the first difference.

    Examples
    --------
    >>> check_agreement.__name__
    'check_agreement'
    """
    _check_inputs(graph, manifest)
    names = graph.tensors.get("softclass/classes")
    if names is None or names.strings != tuple(label.name for label in manifest.classes):
        raise _differ("the classes")
    if shapes["logits"][1] != (BATCH, len(manifest.classes)):
        raise _differ("the number of classes")
    kind, features = shapes.get("softclass/features", (0, ()))
    if (kind, features[:1], math.prod(features[1:])) != (FLOAT, (BATCH,), manifest.n_features):
        raise _differ("the number of features")
    _check_numbers(graph, "temperature", [manifest.calibration.temperature])
    _check_layers(graph, manifest)
    _check_constants(graph, manifest)


def _check_layers(graph: Graph, manifest: Manifest) -> None:
    """The layers of the facts are the products of the graph, in order, with what follows them."""
    products = [node for node in graph.nodes if node.operator in ("Conv", "Gemm")]
    following = {node.inputs[0]: node.operator for node in graph.nodes if node.operator in _ACTIVATIONS}
    waves = [(layer.outputs,) for layer in manifest.layers if isinstance(layer, WavesFacts)]
    layers = [layer for layer in manifest.layers if not isinstance(layer, WavesFacts)]
    places = graph.tensors.get("softclass/waves/places")
    if waves != ([] if places is None else [places.dims]):
        raise _differ("the number of waves")
    if len(products) != len(layers):
        raise _differ("the number of layers")
    for number, (node, layer) in enumerate(zip(products, layers, strict=True)):
        name = f"softclass/layer/{number}/weight"
        if node.inputs[1] != name or graph.tensors[name].dims != layer.weight_shape:
            raise _differ(f"the size of layer {number}")
        if isinstance(layer, ConvolutionFacts):
            if node.operator != "Conv" or node.attributes["pads"] != layer.pads:
                raise _differ(f"layer {number}")
        elif node.operator != "Gemm" or following.get(node.output) != ACTIVATION_OPERATORS.get(layer.activation):
            raise _differ(f"layer {number}")


def expected_inputs(manifest: Manifest) -> list[tuple[str, int, tuple[int, ...]]]:
    """Return name, type and shape of a row for each input that the facts ask for."""
    constants = manifest.constants
    if not isinstance(constants, Preprocessing):
        return [("image", UINT8, manifest.image_spec().shape)]
    texts = [isinstance(step, CategoryStep) for step in constants.steps]
    if constants.layout == "columns":
        kinds = [STRING if text else DOUBLE for text in texts]
        return [(step.input, kind, (1,)) for step, kind in zip(constants.steps, kinds, strict=True)]
    together = [("numbers", DOUBLE, (texts.count(False),)), ("texts", STRING, (texts.count(True),))]
    return [one for one in together if one[2] != (0,)]


def _check_inputs(graph: Graph, manifest: Manifest) -> None:
    wanted = expected_inputs(manifest)
    got = [(value.name, value.kind, value.dims[1:]) for value in graph.inputs]
    if got == wanted:
        return
    first = next((pair for pair in zip(wanted, got, strict=False) if pair[0] != pair[1]), None)
    if first is None:
        raise _differ("the inputs", f"{len(wanted)} in the facts, {len(got)} in the graph")
    one, other = (f'"{shown(name)}" ({TYPE_NAMES[kind]})' for name, kind, _ in first)
    raise _differ("the inputs", f"{one} in the facts, {other} in the graph")


def _check_constants(graph: Graph, manifest: Manifest) -> None:
    """What the facts say about filling, centring, scaling and categories is what the graph does."""
    constants = manifest.constants
    if not isinstance(constants, Preprocessing):
        _check_numbers(graph, "mean", constants.mean)
        _check_numbers(graph, "std", constants.std)
        return
    numeric = [step for step in constants.steps if not isinstance(step, CategoryStep)]
    if any(node.operator == "Sqrt" for node in graph.nodes) != (constants.smooth and bool(numeric)):
        raise _differ("the bound of numbers")
    if numeric:
        half = (0.5, 0.5, 0.5)
        values = [half if isinstance(step, BooleanStep) else (step.fill, step.mean, step.scale) for step in numeric]
        for name, column in zip(("fill", "mean", "scale"), zip(*values, strict=True), strict=True):
            _check_numbers(graph, name, column)
    known = [["", *step.categories] for step in constants.steps if isinstance(step, CategoryStep)]
    if known != [node.attributes["keys_strings"] for node in graph.nodes if node.operator == "LabelEncoder"]:
        raise _differ("the categories")


def _check_numbers(graph: Graph, name: str, wanted: Sequence[float]) -> None:
    tensor = graph.tensors.get(f"softclass/{name}")
    if tensor is None or tensor.kind not in (FLOAT, DOUBLE):
        raise _differ(f"the {name}")
    numbers: Any = tensor.numbers().reshape(-1)
    with np.errstate(over="ignore"):  # a fact beyond float32 becomes infinite, which no constant is
        expected = np.array(wanted, dtype=numbers.dtype)
    if not np.array_equal(numbers, expected):
        raise _differ(f"the {name}")


def _differ(what: str, how: str = "") -> ModelFileError:
    detail = f"; {how}" if how else "; they differ"
    return ModelFileError("SC406", f"facts and graph must agree on {what}{detail}", hint=HINT)
