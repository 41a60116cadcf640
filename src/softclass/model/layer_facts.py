"""What the facts of a model say about its layers: their kinds and sizes, never their weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from softclass.data import facts as rules
from softclass.model.canonical import invalid
from softclass.model.layers import ACTIVATION_OPERATORS
from softclass.model.manifest_rules import checked_facts
from softclass.networks.architecture import Dense
from softclass.networks.fitted_layers import FittedConvolution, FittedLayer


@dataclass(frozen=True)
class DenseFacts:
    """A dense layer.

    Attributes
    ----------
    inputs, outputs : int
        Columns and rows of its weight.
    activation : str
        What follows; "" for nothing.
    """

    inputs: int
    outputs: int
    activation: str = ""

    @property
    def n_parameters(self) -> int:
        """Weights and biases."""
        return (self.inputs + 1) * self.outputs

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """Shape of the weight in the graph."""
        return self.outputs, self.inputs

    def to_dict(self) -> dict[str, Any]:
        """Return the facts that the file keeps."""
        known = {"kind": "dense", "inputs": self.inputs, "outputs": self.outputs}
        return {**known, "activation": self.activation} if self.activation else known


@dataclass(frozen=True)
class ConvolutionFacts:
    """A convolution, the largest value of each 2 x 2 window or not, relu.

    Attributes
    ----------
    inputs, outputs : int
        Maps that come in and go out.
    kernel : int
        Side of the kernel.
    pads : tuple of int
        Zeros above, left of, below and right of the image.
    pooled : bool
        Whether only the largest value of each window goes on.
    """

    inputs: int
    outputs: int
    kernel: int
    pads: tuple[int, ...]
    pooled: bool = True

    @property
    def n_parameters(self) -> int:
        """Weights and biases."""
        return (self.inputs * self.kernel**2 + 1) * self.outputs

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """Shape of the weight in the graph."""
        return self.outputs, self.inputs, self.kernel, self.kernel

    def to_dict(self) -> dict[str, Any]:
        """Return the facts that the file keeps."""
        sizes = {"inputs": self.inputs, "outputs": self.outputs, "kernel": self.kernel}
        known = {"kind": "convolution", **sizes, "pads": list(self.pads)}
        return known if self.pooled else {**known, "pooled": False}


@dataclass(frozen=True)
class WavesFacts:
    """Waves that join the features.

    Attributes
    ----------
    outputs : int
        How many.
    """

    outputs: int

    @property
    def n_parameters(self) -> int:
        """Frequencies and phases."""
        return 2 * self.outputs

    def to_dict(self) -> dict[str, Any]:
        """Return the facts that the file keeps."""
        return {"kind": "waves", "outputs": self.outputs}


LayerFacts: TypeAlias = DenseFacts | ConvolutionFacts | WavesFacts


def facts_of(layer: FittedLayer) -> LayerFacts:
    """
    Return what is said about a fitted layer.

    Examples
    --------
    >>> import numpy as np
    >>> facts_of(Dense(np.zeros((3, 4)), np.zeros(3), "relu")).to_dict()
    {'kind': 'dense', 'inputs': 4, 'outputs': 3, 'activation': 'relu'}
    """
    if isinstance(layer, Dense):
        return DenseFacts(layer.weight.shape[1], layer.weight.shape[0], layer.activation)
    if isinstance(layer, FittedConvolution):
        maps, inputs, kernel, _ = layer.weight.shape
        return ConvolutionFacts(inputs, maps, kernel, layer.pads, layer.pooled)
    return WavesFacts(len(layer.places))


def read_layer(found: Any, where: str) -> LayerFacts:
    """
    Return what a file says about a layer.

    Raises
    ------
    ModelFileError
        SC405, if that breaks a rule.

    Examples
    --------
    >>> read_layer({"kind": "dense", "inputs": 4, "outputs": 3}, "facts, layers[0]")
    DenseFacts(inputs=4, outputs=3, activation='')
    """
    kind = found.get("kind") if isinstance(found, dict) else None
    checks: dict[str, rules.Check] = {"kind": rules.one_of("dense", "convolution", "waves"), "outputs": rules.is_count}
    if kind != "waves":
        checks["inputs"] = rules.is_count
    if kind == "dense" and "activation" in found:
        checks["activation"] = rules.one_of(*ACTIVATION_OPERATORS)
    if kind == "convolution":
        checks |= {"kernel": rules.is_count, "pads": _are_pads}
        if "pooled" in found:
            checks["pooled"] = rules.is_flag
    facts = checked_facts(found, checks, where)
    if kind == "waves":
        return WavesFacts(facts["outputs"])
    if kind == "convolution":
        pads, pooled = tuple(facts["pads"]), facts.get("pooled", True)
        return ConvolutionFacts(facts["inputs"], facts["outputs"], facts["kernel"], pads, pooled)
    return DenseFacts(facts["inputs"], facts["outputs"], facts.get("activation", ""))


def check_layers(layers: Sequence[LayerFacts], n_features: int, n_classes: int, image: Sequence[int] | None) -> None:
    """
    Refuse layers that do not fit each other, what comes in, and the classes.

    Parameters
    ----------
    layers : sequence of facts
        In order.
    n_features, n_classes : int
        What comes in and goes out.
    image : (height, width, channels) or None
        Of a model of images.

    Raises
    ------
    ModelFileError
        SC405.

    Examples
    --------
    >>> check_layers([DenseFacts(4, 3)], 4, 3, None)
    """
    width, maps = n_features, None if image is None else tuple(image)
    for number, layer in enumerate(layers):
        if isinstance(layer, WavesFacts):
            fits, width = number == 0 and image is None and layer.outputs > 0, width + layer.outputs
        elif isinstance(layer, ConvolutionFacts):
            fits = maps is not None and layer.inputs == maps[2]
            if fits and maps is not None:
                top, left, bottom, right = layer.pads
                height, side = maps[0] + top + bottom, maps[1] + left + right
                step = 2 if layer.pooled else 1
                maps = (height - layer.kernel + 1) // step, (side - layer.kernel + 1) // step, layer.outputs
                width = maps[0] * maps[1] * maps[2]
                fits = min(maps) > 0
        else:
            fits, width, maps = layer.inputs == width, layer.outputs, None
        if not fits:
            raise invalid("the layers must fit each other and what comes in", "facts, layers")
    last = layers[-1]
    if not isinstance(last, DenseFacts) or last.activation or last.outputs != n_classes:
        raise invalid("the last layer must give one logit a class", "facts, layers")


def _are_pads(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 4 and all(map(rules.is_count, value))
