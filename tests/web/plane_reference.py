"""What panel 4 and the layers of panel 5 must give, written once more with NumPy matrices; for tests."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from softclass.functions.random import Generator

Array = npt.NDArray[np.float64]
START_SEED, BATCH_SEED, BATCH = 0x9E3779B9, 0x85EBCA6B, 10


def sigmoid(z: Array) -> Array:
    return 1 / (1 + np.exp(-z))


VALUES = {"tanh": np.tanh, "relu": lambda z: np.maximum(z, 0), "sigmoid": sigmoid}
SLOPES = {"tanh": lambda a: 1 - a**2, "relu": lambda a: (a > 0).astype(float), "sigmoid": lambda a: a * (1 - a)}


def softmax(z: Array) -> Array:
    powers = np.exp(z - z.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def head_loss(head: str, z: Array, y: Array) -> tuple[Array, Array]:
    """Losses (N,) and their gradients (N, K) by the textbook; good for moderate logits only."""
    p = softmax(z) if head.startswith("softmax") else sigmoid(z)
    if head == "softmax_ce":
        return -(y * np.log(p)).sum(axis=1), p - y
    if head == "softmax_se":
        jacobians = np.einsum("ni,ij->nij", p, np.eye(z.shape[1])) - np.einsum("ni,nj->nij", p, p)
        return 0.5 * ((p - y) ** 2).sum(axis=1), np.einsum("nij,nj->ni", jacobians, p - y)
    if head == "sigmoid_ce":
        return -(y * np.log(p) + (1 - y) * np.log(1 - p)).sum(axis=1), p - y
    return 0.5 * ((p - y) ** 2).sum(axis=1), (p - y) * p * (1 - p)


class ReferenceRun:
    """A run of panel 4: weights as matrices, one layer a pair (weight, bias)."""

    def __init__(self, training: dict[str, Any], middles: list[list[float]], settings: dict[str, Any]) -> None:
        self.features = np.reshape(training["features"], (-1, 2))
        self.targets = np.array(training["targets"])
        self.settings = settings
        n_classes = len(middles)
        self.y = np.eye(n_classes)[self.targets]
        sizes = [2, *settings["hidden"], n_classes]
        self.layers = [[np.zeros((n_out, n_in)), np.zeros(n_out)] for n_in, n_out in pairwise(sizes)]
        if settings["hidden"]:
            random = Generator(settings["seed"] ^ START_SEED)
            for number, (weight, _) in enumerate(self.layers):
                variance = (2 if settings["activation"] == "relu" else 1) / weight.shape[1]
                if number == len(self.layers) - 1:
                    variance = settings["start"] ** 2 / weight.shape[1]
                weight[:] = np.reshape([random.normal() for _ in range(weight.size)], weight.shape) * variance**0.5
        else:
            self.layers[0][0][:] = settings["start"] * np.roll(np.array(middles), -1, axis=0)
        self.memory: list[Any] = [[np.zeros_like(part), np.zeros_like(part)] for layer in self.layers for part in layer]
        self.steps = 0

    def forward(self, x: Array) -> list[Array]:
        """Inputs of every layer, then the logits."""
        seen = [x]
        for number, (weight, bias) in enumerate(self.layers):
            z = seen[-1] @ weight.T + bias
            seen.append(z if number == len(self.layers) - 1 else VALUES[self.settings["activation"]](z))
        return seen

    def loss(self) -> tuple[float, float]:
        logits = self.forward(self.features)[-1]
        losses, _ = head_loss(self.settings["head"], logits, self.y)
        return float(losses.mean()), float((logits.argmax(axis=1) == self.targets).mean())

    def gradients(self, rows: list[int]) -> list[Array]:
        seen = self.forward(self.features[rows])
        push = head_loss(self.settings["head"], seen[-1], self.y[rows])[1] / len(rows)
        found: list[Array] = []
        for number in range(len(self.layers) - 1, -1, -1):
            weight = self.layers[number][0]
            found[:0] = [push.T @ seen[number] + self.settings["l2"] * weight, push.sum(axis=0)]
            if number:
                push = (push @ weight) * SLOPES[self.settings["activation"]](seen[number])
        return found

    def move(self, rows: list[int]) -> None:
        self.steps += 1
        rate, name = self.settings["learningRate"], self.settings["optimizer"]
        parts = [part for layer in self.layers for part in layer]
        for part, gradient, memory in zip(parts, self.gradients(rows), self.memory, strict=True):
            if name == "momentum":
                memory[0] = 0.9 * memory[0] + gradient
                part -= rate * memory[0]
            elif name == "adam":
                memory[0] = 0.9 * memory[0] + 0.1 * gradient
                memory[1] = 0.999 * memory[1] + 0.001 * gradient**2
                mean, square = memory[0] / (1 - 0.9**self.steps), memory[1] / (1 - 0.999**self.steps)
                part -= rate * mean / (np.sqrt(square) + 1e-8)
            else:
                part -= rate * gradient

    def trace(self, epochs: int) -> Iterator[tuple[float, float]]:
        """Loss and accuracy at the start and after every epoch."""
        order = Generator(self.settings["seed"] ^ BATCH_SEED)
        n = len(self.targets)
        yield self.loss()
        for _ in range(epochs):
            rows = list(range(n)) if self.settings["optimizer"] == "gd" else order.permutation(n)
            size = n if self.settings["optimizer"] == "gd" else BATCH
            for first in range(0, n, size):
                self.move(rows[first : first + size])
            yield self.loss()

    def parameters(self) -> Array:
        return np.concatenate([part.ravel() for layer in self.layers for part in layer])


def both(value: int | list[int]) -> list[int]:
    return [value, value] if isinstance(value, int) else value


def windows(maps: Array, size: int | list[int], stride: int | list[int]) -> Array:
    """All windows of maps (C, H, W), as (C, H', W', kh, kw)."""
    (height, width), (step_y, step_x) = both(size), both(stride)
    return np.lib.stride_tricks.sliding_window_view(maps, (height, width), axis=(1, 2))[:, ::step_y, ::step_x]


def layer_output(layer: dict[str, Any], arrays: dict[str, Array], x: Array) -> Array:
    """What one layer of a list gives."""
    kind = layer["kind"]
    if kind == "conv":
        pad = [layer["pad"]] * 4 if isinstance(layer["pad"], int) else layer["pad"]
        padded = np.pad(x, [(0, 0), (pad[0], pad[2]), (pad[1], pad[3])])
        seen = windows(padded, layer["kernel"], layer["stride"])
        return np.einsum("chwyx,ocyx->ohw", seen, arrays[layer["weight"]]) + arrays[layer["bias"]][:, None, None]
    if kind == "dense":
        return arrays[layer["weight"]] @ x.ravel() + arrays[layer["bias"]]
    if kind in ("maxpool", "avgpool"):
        seen = windows(x, layer["size"], layer["stride"])
        return seen.max(axis=(3, 4)) if kind == "maxpool" else seen.mean(axis=(3, 4))
    if kind == "globalavgpool":
        return x.mean(axis=(1, 2), keepdims=True)
    if kind == "flatten":
        return x.ravel()
    if kind == "softmax":
        return softmax(x[None])[0]
    return VALUES[kind](x)
