"""The layers of a model as a page draws them, and what each of them gives for one input.

Everything is read back from the graph in the file, from ``logits`` to the input; nothing of onnx is needed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from softclass.model.session import Session
from softclass.model.shapes import check_shapes
from softclass.model.wire import Node, read_graph, with_outputs

Float32 = npt.NDArray[np.float32]

PLAIN = {"Relu": "relu", "Tanh": "tanh", "Sigmoid": "sigmoid", "Selu": "selu", "Flatten": "flatten"}
# What network.js computes by itself.
KNOWN = frozenset({"conv", "relu", "tanh", "sigmoid", "maxpool", "flatten", "dense", "softmax"})
MAX_PARAMETERS = 2_000_000
INNER = "softclass/"


@dataclass(frozen=True, eq=False)
class DrawnLayer:
    """A layer as it is drawn: one tile.

    Attributes
    ----------
    kind : str
        conv, relu, tanh, sigmoid, selu, maxpool, flatten, dense, softmax; opaque for whatever else stands there.
    value : str
        Name of its output in the graph.
    output : tuple of int
        Shape of its output for one input: (channels, height, width) or (features,).
    n_parameters : int
        Fitted numbers in it.
    facts : mapping
        What its kind has beyond that: kernel, stride, pad, size; the names of weight and bias; a label.
    arrays : mapping of str to str
        Weight and bias by their names in the graph.
    """

    kind: str
    value: str
    output: tuple[int, ...]
    n_parameters: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What answers call it."""
        return self.value.removeprefix(INNER)

    def to_dict(self) -> dict[str, Any]:
        """Return the layer as an answer holds it."""
        known = {"kind": self.kind, "name": self.name, "output": list(self.output), "parameters": self.n_parameters}
        arrays = {what: name.removeprefix(INNER) for what, name in self.arrays.items()}
        return {**known, **self.facts, **arrays}


class DrawnModel:
    """A graph taken apart into tiles.

    Parameters
    ----------
    body : bytes
        A checked model without its seal.
    n_parameters : int
        Of the whole model; what no known layer holds belongs to the opaque one.
    threads : int, optional
        Of the runtime.

    Attributes
    ----------
    layers : tuple of DrawnLayer
        From the input to the softmax.

    Examples
    --------
    >>> from softclass.data.preprocessing import NumberStep, Preprocessing
    >>> from softclass.model.graph import build_graph
    >>> from softclass.networks.architecture import Dense
    >>> step = NumberStep(input="width", fill=3.0, mean=2.5, scale=0.5, flag=False, missing=0)
    >>> dense = Dense(weight=np.array([[1.0], [-1.0]]), bias=np.zeros(2))
    >>> drawn = DrawnModel(build_graph(Preprocessing(steps=(step,), layout="columns"), [dense], ["broad", "slim"]), 4)
    >>> [(layer.kind, layer.output) for layer in drawn.layers]
    [('opaque', (1,)), ('dense', (2,)), ('softmax', (2,))]
    >>> drawn.activations({"width": np.array([[2.0]])})["layer/0"].tolist()
    [-1.0, 1.0]
    """

    def __init__(self, body: bytes, n_parameters: int, *, threads: int | None = None) -> None:
        graph = read_graph(body)
        self._shapes = {name: dims[1:] for name, (_, dims) in check_shapes(graph).items()}
        self._graph = graph
        self._body = body
        self._threads = threads
        self._session: Session | None = None
        self._pixels_last = False  # whether the flattened pixels stand in the order height, width, channel
        self.layers = self._walk(n_parameters)

    @property
    def has_weights(self) -> bool:
        """Whether a page can compute the network by itself."""
        total = sum(layer.n_parameters for layer in self.layers)
        return all(layer.kind in KNOWN for layer in self.layers) and total <= MAX_PARAMETERS

    @property
    def n_values(self) -> int:
        """Numbers in all activations of one input."""
        return sum(math.prod(layer.output) for layer in self.layers)

    def weights(self) -> dict[str, Float32]:
        """
        Return weights and biases by the names that the layers give.

        Returns
        -------
        dict of str to float32 array
            Of a dense layer (outputs, inputs), of a convolution (outputs, inputs, height, width). Flattened pixels
            count channel by channel, whatever their order in the file.
        """
        found = {}
        previous: DrawnLayer | None = None
        for layer in self.layers:
            for what, name in layer.arrays.items():
                values = self._graph.tensors[name].numbers()
                if what == "weight" and previous is not None and previous.kind == "flatten" and self._pixels_last:
                    values = self._channels_first(values)
                found[name.removeprefix(INNER)] = np.ascontiguousarray(values, dtype=np.float32)
            previous = layer
        return found

    def activations(self, feeds: Mapping[str, npt.NDArray[Any]]) -> dict[str, Any]:
        """
        Return what every layer gives for one input.

        Parameters
        ----------
        feeds : mapping of str to array
            What the graph takes, one row.

        Returns
        -------
        dict of str to array
            By the name of the layer, in the shape of its output; ``logits``, ``probabilities`` and ``label`` as well.
        """
        if self._session is None:
            hidden = [layer.value for layer in self.layers if layer.kind != "softmax"]
            self._session = Session(with_outputs(self._body, hidden), threads=self._threads)
        values = self._session.run_all(feeds)
        found: dict[str, Any] = {name: values[name][0] for name in ("logits", "probabilities", "label")}
        for layer in self.layers:
            row = values[layer.value][0]
            if layer.kind == "flatten" and self._pixels_last:
                row = self._channels_first(row[np.newaxis])[0]
            found[layer.name] = row
        return found

    def _walk(self, n_parameters: int) -> tuple[DrawnLayer, ...]:
        """Go back from the logits, layer by layer, until something stands there that is no layer."""
        made = {node.output: node for node in self._graph.nodes}
        value = made["logits"].inputs[0]  # before the temperature
        layers = [DrawnLayer("softmax", "probabilities", self._shapes["probabilities"])]
        while True:
            node = made[value]
            layer = self._layer(node)
            if layer is None:
                break
            layers.append(layer)
            value = node.inputs[0]
            if value == "softclass/scaled" or made[value].operator == "Transpose":
                self._pixels_last = value == "softclass/scaled"
                return tuple(reversed(layers))
        rest = n_parameters - sum(layer.n_parameters for layer in layers)
        label = "waves" if "waves" in value else "preprocessing"
        layers.append(DrawnLayer("opaque", value, self._shapes[value], rest, {"label": label}))
        return tuple(reversed(layers))

    def _layer(self, node: Node) -> DrawnLayer | None:
        """Return the tile of an operation, None if it is none of the known ones."""
        output = self._shapes[node.output]
        if node.operator in PLAIN:
            is_table_flatten = node.operator == "Flatten" and not self._flattens_maps(node)
            return None if is_table_flatten else DrawnLayer(PLAIN[node.operator], node.output, output)
        if node.operator == "MaxPool":
            facts = {"size": list(node.attributes["kernel_shape"]), "stride": list(node.attributes["strides"])}
            return DrawnLayer("maxpool", node.output, output, 0, facts)
        if node.operator in ("Gemm", "Conv"):
            arrays = dict(zip(("weight", "bias"), node.inputs[1:], strict=True))
            size = sum(math.prod(self._graph.tensors[name].dims) for name in arrays.values())
            if node.operator == "Gemm":
                return DrawnLayer("dense", node.output, output, size, {}, arrays)
            pad, kernel = list(node.attributes["pads"]), list(node.attributes["kernel_shape"])
            return DrawnLayer(
                "conv", node.output, output, size, {"kernel": kernel, "stride": [1, 1], "pad": pad}, arrays
            )
        return None

    def _flattens_maps(self, node: Node) -> bool:
        """Whether a Flatten takes an image or maps, not the codes of a column."""
        return len(self._shapes[node.inputs[0]]) == 3

    def _channels_first(self, values: Float32) -> Float32:
        """Put columns that count height, width, channel into the order channel, height, width."""
        height, width, channels = self._shapes["softclass/scaled"]
        apart = values.reshape(len(values), height, width, channels)
        return np.ascontiguousarray(apart.transpose(0, 3, 1, 2)).reshape(values.shape)
