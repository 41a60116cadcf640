"""The networks in plain NumPy and float64: the truth that the engines are judged by.

Nothing here is clever. The map of a convolution is stored whole, the backward pass is the dense one, and categories are
rows of ones and zeros. Parameters have the names and shapes of `Architecture.parameter_shapes`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from softclass.networks.architecture import Architecture, Hidden, Stage
from softclass.networks.layers import Columns, Periodic, Relu, Scale, Selu, Sigmoid, Tanh

Array = npt.NDArray[np.float64]
SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772

_ACTIVATIONS: dict[type[Any], tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    # z -> h, and h -> the derivative
    Relu: (lambda z: np.where(z > 0, z, 0.0), lambda h: np.where(h > 0, 1.0, 0.0)),
    Tanh: (np.tanh, lambda h: 1 - h**2),
    Sigmoid: (lambda z: 1 / (1 + np.exp(-z)), lambda h: h * (1 - h)),
    Selu: (
        lambda z: SELU_SCALE * np.where(z > 0, z, SELU_ALPHA * np.expm1(np.minimum(z, 0))),
        lambda h: np.where(h > 0, SELU_SCALE, h + SELU_SCALE * SELU_ALPHA),
    ),
}


@dataclass
class Batch:
    """What comes in, and what should come out.

    Attributes
    ----------
    targets : int array of shape (n,), or float array of shape (n, n_classes)
        Class indices or distributions.
    images : float array of shape (n, height, width, channels), or None
        Normalised.
    numbers, codes : arrays of shape (n, ...), or None
        Columns of a table.
    weight : float array of shape (n,), or None
        Weights of the rows.
    label_smoothing : float
        Share of the targets that is spread evenly.
    masks : sequence of bool arrays of shape (n, inputs)
        What every `Dropout` keeps; none: nothing is dropped.
    """

    targets: npt.NDArray[Any]
    images: npt.NDArray[Any] | None = None
    numbers: npt.NDArray[Any] | None = None
    codes: npt.NDArray[Any] | None = None
    weight: npt.NDArray[Any] | None = None
    label_smoothing: float = 0.0
    masks: Sequence[npt.NDArray[Any]] = field(default_factory=tuple)


def normalised(pixels: npt.NDArray[Any], offset: npt.NDArray[Any], scale: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return pixels as the network sees them: float32, rounded after the subtraction and after the product."""
    shifted: npt.NDArray[np.float32] = pixels.astype(np.float32) - offset.astype(np.float32)
    return shifted * scale.astype(np.float32)


def start_parameters(architecture: Architecture, seed: int) -> dict[str, npt.NDArray[np.float32]]:
    """Return random parameters of the usual size, as float32 numbers."""
    random = np.random.default_rng(seed)
    shapes = architecture.parameter_shapes
    found = {}
    for name, shape in shapes.items():
        weight = shapes.get(name.replace("bias", "weight"), shape)
        fan_in = math.prod(weight[:-1]) if name.startswith("stage") else weight[-1]
        found[name] = random.uniform(-1, 1, shape).astype(np.float32) / np.float32(math.sqrt(fan_in))
    return found


def logits(architecture: Architecture, parameters: Mapping[str, npt.NDArray[Any]], batch: Batch) -> Array:
    """Return the logits, of shape (n, n_classes)."""
    return _Pass(architecture, parameters, batch).logits


def loss_and_gradients(
    architecture: Architecture, parameters: Mapping[str, npt.NDArray[Any]], batch: Batch
) -> tuple[float, dict[str, Array]]:
    """Return the mean over the rows of weight times cross-entropy, and its gradient at every parameter."""
    run = _Pass(architecture, parameters, batch)
    n, n_classes = run.logits.shape
    q = np.eye(n_classes)[batch.targets] if batch.targets.ndim == 1 else np.asarray(batch.targets, np.float64)
    total = q.sum(axis=1, keepdims=True)
    q = (1 - batch.label_smoothing) * q + batch.label_smoothing * total / n_classes
    weight = np.ones(n) if batch.weight is None else np.asarray(batch.weight, np.float64)
    shifted = run.logits - run.logits.max(axis=1, keepdims=True)
    log_partition = np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    losses = (q * (log_partition - shifted)).sum(axis=1)
    delta = weight[:, None] * (total * np.exp(shifted - log_partition) - q) / n
    run.backward(delta)
    return float((weight * losses).sum() / n), run.gradients


def smallest_gap(architecture: Architecture, parameters: Mapping[str, npt.NDArray[Any]], batch: Batch) -> float:
    """
    Return how near a stage comes to another winner, or to another sign of it, as a share of its largest value.

    Numbers that are equal are no near miss: which of them wins is agreed. Below the rounding of float32 a comparison of
    gradients says nothing.
    """
    return _Pass(architecture, parameters, batch).gap


class _Pass:
    """One forward pass, with what the way back needs."""

    def __init__(self, architecture: Architecture, parameters: Mapping[str, npt.NDArray[Any]], batch: Batch) -> None:
        self.architecture, self.batch = architecture, batch
        self.p = {name: np.asarray(value, np.float64) for name, value in parameters.items()}
        self.gradients = {name: np.zeros(value.shape) for name, value in self.p.items()}
        self.back: list[Callable[[Array], Array]] = []  # gradient of an output -> gradient of its input
        self.gap = 1.0
        h = self.images() if architecture.stages else self.columns()
        masks = list(batch.masks)
        for number, layer in enumerate(architecture.hidden, start=1):
            if layer.dropout > 0 and masks:
                h = self.dropped(h, np.asarray(masks.pop(0), np.float64) / (1 - layer.dropout))
            h = self.dense(h, layer, f"dense{number}")
        self.logits = h

    def backward(self, delta: Array) -> None:
        for step in reversed(self.back):
            delta = step(delta)

    # Images

    def images(self) -> Array:
        h = np.asarray(self.batch.images, np.float64)
        for number, stage in enumerate(self.architecture.stages, start=1):
            h = self.pool(self.convolution(h, stage, f"stage{number}"), stage)
        shape = h.shape
        self.back.append(lambda delta: delta.reshape(shape))
        return h.reshape(len(h), -1)

    def convolution(self, x: Array, stage: Stage, name: str) -> Array:
        top, left, bottom, right = stage.pads
        x = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
        weight, r = self.p[f"{name}.weight"], stage.kernel
        height, width = x.shape[1] - r + 1, x.shape[2] - r + 1
        taps = [(i, j) for i in range(r) for j in range(r)]

        def seen(i: int, j: int) -> Array:  # by tap (i, j), at every position
            return x[:, i : i + height, j : j + width].reshape(-1, x.shape[3])

        def back(delta: Array) -> Array:
            flat = delta.reshape(-1, delta.shape[3])
            of_x = np.zeros(x.shape)
            for i, j in taps:
                self.gradients[f"{name}.weight"][i, j] += seen(i, j).T @ flat
                of_x[:, i : i + height, j : j + width] += delta @ weight[i, j].T
            self.gradients[f"{name}.bias"] += flat.sum(axis=0)
            return of_x[:, top : top + stage.in_height, left : left + stage.in_width]

        self.back.append(back)
        a = sum((seen(i, j) @ weight[i, j] for i, j in taps), self.p[f"{name}.bias"])
        return a.reshape(len(x), height, width, -1)

    def pool(self, a: Array, stage: Stage) -> Array:
        """Largest of every 2 x 2 window, the first in row order of equals; then relu."""
        n, height, width, maps = len(a), stage.height, stage.width, stage.maps
        even = a[:, : 2 * height, : 2 * width].reshape(n, height, 2, width, 2, maps)
        four = even.transpose(0, 1, 3, 2, 4, 5).reshape(n, height, width, 4, maps)
        winner = four.argmax(axis=3)[:, :, :, None]
        largest = np.take_along_axis(four, winner, axis=3)[:, :, :, 0]
        gaps = np.concatenate([(largest[:, :, :, None] - four).ravel(), np.abs(largest).ravel()])
        self.gap = min(self.gap, gaps[gaps > 0].min(initial=np.inf) / np.abs(four).max(initial=1e-300))

        def back(delta: Array) -> Array:
            of_four = np.zeros(four.shape)
            np.put_along_axis(of_four, winner, np.where(largest > 0, delta, 0.0)[:, :, :, None], axis=3)
            of_a = np.zeros(a.shape)
            of_a[:, : 2 * height, : 2 * width] = (
                of_four.reshape(n, height, width, 2, 2, maps)
                .transpose(0, 1, 3, 2, 4, 5)
                .reshape(n, 2 * height, 2 * width, maps)
            )
            return of_a

        self.back.append(back)
        return np.where(largest > 0, largest, 0.0)

    # Tables

    def columns(self) -> Array:
        architecture, batch = self.architecture, self.batch
        assert isinstance(architecture.input, Columns)
        numbers = np.zeros((len(batch.targets), 0)) if batch.numbers is None else np.asarray(batch.numbers, np.float64)
        parts = [numbers]
        ways: list[tuple[int, Callable[[Array], None]]] = []  # first input, what its gradient does
        if architecture.has(Periodic):
            parts.append(self.waves(numbers, ways))
        for j in architecture.embedded_columns:
            assert batch.codes is not None
            name, codes = f"embedding{j + 1}.weight", batch.codes[:, j]
            ways.append((sum(part.shape[1] for part in parts), self.look_up(name, codes)))
            parts.append(self.p[name][codes])
        for j in architecture.indicator_columns:
            assert batch.codes is not None
            parts.append(np.eye(architecture.input.codes[j])[batch.codes[:, j]])
        x = np.concatenate(parts, axis=1)

        def back(delta: Array) -> Array:
            for begin, way in ways:
                way(delta[:, begin:])
            return delta

        self.back.append(back)
        return self.scaled(x) if architecture.has(Scale) else x

    def waves(self, numbers: Array, ways: list[tuple[int, Callable[[Array], None]]]) -> Array:
        weight = self.p["periodic.weight"]  # (number, output, wave)
        angle = 2 * math.pi * (numbers[:, :, None] * self.p["periodic.frequency"]) + self.p["periodic.phase"]
        wave = np.cos(angle)
        sums = np.einsum("njw,jow->njo", wave, weight) + self.p["periodic.bias"]

        def way(delta: Array) -> None:
            of_sums = delta[:, : sums[0].size].reshape(sums.shape)
            of_angle = -np.sin(angle) * np.einsum("njo,jow->njw", of_sums, weight)
            self.gradients["periodic.weight"] += np.einsum("njo,njw->jow", of_sums, wave)
            self.gradients["periodic.bias"] += of_sums.sum(axis=0)
            self.gradients["periodic.phase"] += of_angle.sum(axis=0)
            self.gradients["periodic.frequency"] += (2 * math.pi * numbers[:, :, None] * of_angle).sum(axis=0)

        ways.append((numbers.shape[1], way))
        return sums.reshape(len(numbers), -1)

    def look_up(self, name: str, codes: npt.NDArray[Any]) -> Callable[[Array], None]:
        width = self.p[name].shape[1]
        return lambda delta: np.add.at(self.gradients[name], codes, delta[:, :width])

    def scaled(self, x: Array) -> Array:
        factor = self.p["scale.weight"]

        def back(delta: Array) -> Array:
            self.gradients["scale.weight"] += (delta * x).sum(axis=0)
            return delta * factor

        self.back.append(back)
        return x * factor

    # Both

    def dropped(self, h: Array, factor: Array) -> Array:
        self.back.append(lambda delta: delta * factor)
        return h * factor

    def dense(self, x: Array, layer: Hidden, name: str) -> Array:
        weight = self.p[f"{name}.weight"]
        factor = 1 / math.sqrt(layer.n_in) if layer.ntk else 1.0
        function, derivative = (
            _ACTIVATIONS[type(layer.activation)] if layer.activation else (lambda z: z, lambda h: np.ones(h.shape))
        )
        h = function(x @ weight.T * factor + self.p[f"{name}.bias"])

        def back(delta: Array) -> Array:
            of_z = delta * derivative(h)
            self.gradients[f"{name}.weight"] += of_z.T @ x * factor
            self.gradients[f"{name}.bias"] += of_z.sum(axis=0)
            return of_z @ weight * factor

        self.back.append(back)
        return h
