"""The float64 networks themselves, against central differences."""

from __future__ import annotations

import numpy as np
import pytest

from networks.reference_network import Batch, loss_and_gradients, start_parameters
from softclass.networks.architecture import Architecture
from softclass.networks.layers import (
    Columns,
    Convolution,
    Dropout,
    Embedding,
    Flatten,
    FullyConnected,
    MaxPool,
    Periodic,
    Pixels,
    Relu,
    Scale,
    Selu,
    Sigmoid,
    Tanh,
)

STAGE = (MaxPool(), Relu())
IMAGES = {
    "one": Architecture(Pixels(9, 8), (Convolution(3), *STAGE, Flatten(), FullyConnected(3))),
    "two": Architecture(
        Pixels(11, 14, 2),
        (
            *(Convolution(3, 5, "same"), *STAGE, Convolution(4, 3, "same"), *STAGE, Flatten()),
            *(Dropout(0.3), FullyConnected(5), Relu(), Dropout(0.5), FullyConnected(4)),
        ),
    ),
    "small": Architecture(Pixels(1, 5), (Convolution(2), *STAGE, Flatten(), FullyConnected(2))),
}
TABLES = {
    "numbers": Architecture(Columns(4), (FullyConnected(5), Relu(), FullyConnected(3))),
    "all": Architecture(
        Columns(3, (4, 14)),
        (Periodic(), Embedding(4, 9), Scale(), FullyConnected(6, ntk=True), Selu(), FullyConnected(3, ntk=True)),
    ),
    "tanh": Architecture(Columns(2, (3,)), (FullyConnected(4), Tanh(), Dropout(0.4), FullyConnected(2))),
    "sigmoid": Architecture(
        Columns(2), (FullyConnected(4), Sigmoid(), FullyConnected(3), Sigmoid(), FullyConnected(3))
    ),
}


def example(architecture: Architecture, n: int, random: np.random.Generator) -> Batch:
    kept = [random.random((n, layer.n_in)) > 0.3 for layer in architecture.hidden if layer.dropout > 0]
    k = architecture.n_classes
    shares = random.dirichlet(np.ones(k), n)
    batch = Batch(shares, weight=random.uniform(0, 2, n), label_smoothing=0.1, masks=kept)
    if isinstance(architecture.input, Pixels):
        size = architecture.input
        batch.images = random.standard_normal((n, size.height, size.width, size.channels))
    else:
        batch.numbers = random.standard_normal((n, architecture.input.numbers))
        batch.codes = np.stack([random.integers(0, c, n) for c in (*architecture.input.codes, 1)], axis=1)
    return batch


@pytest.mark.parametrize("name", [*IMAGES, *TABLES])
def test_gradients_are_central_differences(name: str) -> None:
    architecture = {**IMAGES, **TABLES}[name]
    random = np.random.default_rng(7)
    parameters = {key: v.astype(np.float64) for key, v in start_parameters(architecture, 1).items()}
    batch = example(architecture, 5, random)
    _, gradients = loss_and_gradients(architecture, parameters, batch)
    for key, value in parameters.items():
        direction = random.standard_normal(value.shape)
        step = 1e-6
        ahead = loss_and_gradients(architecture, {**parameters, key: value + step * direction}, batch)[0]
        behind = loss_and_gradients(architecture, {**parameters, key: value - step * direction}, batch)[0]
        expected = (ahead - behind) / (2 * step)
        assert float((gradients[key] * direction).sum()) == pytest.approx(expected, rel=1e-6, abs=1e-9), key
        assert np.abs(gradients[key]).max() > 0, key
