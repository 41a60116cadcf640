"""Start weights: by place, of the right spread, the same everywhere."""

from __future__ import annotations

import math

import numpy as np
import pytest

from asserts import assert_bit_equal, assert_close
from softclass.networks.architecture import Architecture
from softclass.networks.layers import (
    Columns,
    Convolution,
    Embedding,
    Flatten,
    FullyConnected,
    MaxPool,
    Periodic,
    Pixels,
    Relu,
    Scale,
    Selu,
)
from softclass.networks.native import NativeEngine
from softclass.networks.start_weights import start_weights

PLAIN = Architecture(Columns(100), (FullyConnected(400), Relu(), FullyConnected(50)))
IMAGE = Architecture(Pixels(28, 28, 3), (Convolution(64, 5), MaxPool(), Relu(), Flatten(), FullyConnected(10)))
REALMLP = Architecture(
    Columns(300, (40,)),
    (
        *(Periodic(), Embedding(), Scale(), FullyConnected(200, ntk=True), Selu()),
        FullyConnected(5, ntk=True, zero=True),
    ),
)


@pytest.mark.parametrize(
    ("architecture", "name", "bound"),
    [
        (PLAIN, "dense1.weight", 0.1),
        (PLAIN, "dense1.bias", 0.1),
        (PLAIN, "dense2.weight", 1 / 20),
        (IMAGE, "stage1.weight", 1 / math.sqrt(75)),
        (IMAGE, "dense1.weight", 1 / math.sqrt(9216)),
        (REALMLP, "periodic.phase", math.pi),
        (REALMLP, "periodic.weight", 0.25),
        (REALMLP, "periodic.bias", 0.25),
    ],
)
def test_even_numbers_within_their_bound(architecture: Architecture, name: str, bound: float) -> None:
    shares = start_weights(architecture, 1)[name].reshape(-1) / bound

    assert abs(shares).max() <= 1 + 1e-7
    assert abs(shares.mean()) < 4 / math.sqrt(3 * shares.size)  # 4 standard errors
    assert abs((shares**2).mean() - 1 / 3) < 4 * math.sqrt(4 / 45 / shares.size)


@pytest.mark.parametrize(("name", "spread"), [("dense1.weight", 1.0), ("periodic.frequency", 0.1)])
def test_normal_numbers(name: str, spread: float) -> None:
    z = start_weights(REALMLP, 1)[name].reshape(-1).astype(np.float64) / spread

    assert abs(z.mean()) < 4 / math.sqrt(z.size)
    assert abs((z**2).mean() - 1) < 4 * math.sqrt(2 / z.size)
    assert abs((z**4).mean() - 3) < 4 * math.sqrt(96 / z.size)


def test_normal_numbers_are_those_of_box_and_muller() -> None:
    """From the words of test 4's known answer: counter and key 0."""
    z = start_weights(Architecture(Columns(2), (FullyConnected(2, ntk=True), Relu(), FullyConnected(2, ntk=True))), 0)
    first, second = 0x6627E8 / 2**24, 0xE169C5 / 2**24
    length, angle = math.sqrt(-2 * math.log(1 - first)), 2 * math.pi * second

    expected = np.array([length * math.cos(angle), length * math.sin(angle)])
    assert_close(expected, z["dense1.weight"].reshape(-1)[:2], rtol=1e-7, atol=0)  # rounded once


def test_scales_are_one_and_a_zero_layer_is_zero() -> None:
    weights = start_weights(REALMLP, 5)

    assert (weights["scale.weight"] == 1).all()
    assert not weights["dense2.weight"].any()


def test_seed_and_tensor_change_the_numbers_and_nothing_else_does() -> None:
    weights, again, other = start_weights(PLAIN, 1), start_weights(PLAIN, 1), start_weights(PLAIN, 2)

    assert_bit_equal(weights["dense1.weight"], again["dense1.weight"])
    assert (weights["dense1.weight"] != other["dense1.weight"]).mean() > 0.99
    assert (weights["dense1.weight"].reshape(-1)[:400] != weights["dense1.bias"]).mean() > 0.99


def test_the_engine_starts_from_them() -> None:
    engine = NativeEngine(REALMLP, seed=2**63 + 1, n_threads=1)
    engine.initialise()

    for name, value in start_weights(REALMLP, 2**63 + 1).items():
        assert_bit_equal(value, engine.parameters()[name])
