"""The fully connected engine against the float64 network, and in every bit against itself."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from asserts import assert_bit_equal, assert_close
from networks.reference_network import Batch, logits, loss_and_gradients
from softclass.networks.architecture import Architecture
from softclass.networks.engine import EngineState, Rows
from softclass.networks.layers import (
    ACTIVATIONS,
    Columns,
    Dropout,
    Embedding,
    FullyConnected,
    Layer,
    Periodic,
    Scale,
)
from softclass.networks.native import NativeEngine


def network(
    columns: Columns,
    widths: tuple[int, ...],
    *,
    activation: str = "relu",
    before: tuple[Layer, ...] = (),
    ntk: bool = False,
    dropout: float = 0.0,
) -> Architecture:
    layers: list[Layer] = [*before]
    for width in widths[:-1]:
        layers += [FullyConnected(width, ntk=ntk), ACTIVATIONS[activation]]
        layers += [Dropout(dropout)] if dropout else []
    return Architecture(columns, (*layers, FullyConnected(widths[-1], ntk=ntk)))


CATEGORIES = Columns(3, (4, 14, 2, 30))
NETWORKS = {
    "one layer": network(Columns(7), (5, 3)),
    "width 1": network(Columns(1), (1, 2)),
    "widths 15 16": network(Columns(16), (15, 16, 13)),
    "four layers": network(Columns(33), (100, 17, 31, 64, 10)),
    "width 257": network(Columns(26), (257, 257, 5), activation="selu"),
    "long chains": network(Columns(2100), (1100, 3)),
    "many classes": network(Columns(20), (33, 1000)),
    "100 classes": network(Columns(20), (64, 100), activation="tanh"),
    "tanh": network(Columns(9), (40, 21, 4), activation="tanh"),
    "sigmoid": network(Columns(9), (40, 21, 4), activation="sigmoid"),
    "selu": network(Columns(9), (40, 21, 4), activation="selu"),
    "dropout": network(Columns(12), (50, 30, 6), dropout=0.3),
    "dropout tanh": network(Columns(12), (50, 6), activation="tanh", dropout=0.5),
    "codes": network(CATEGORIES, (20, 5)),
    "codes alone": network(Columns(0, (3, 9)), (20, 5), activation="sigmoid"),
    "embeddings": network(CATEGORIES, (20, 5), before=(Embedding(),)),
    "embeddings alone": network(Columns(0, (13, 40)), (20, 5), before=(Embedding(3),)),
    "wide embeddings": network(CATEGORIES, (20, 5), before=(Embedding(17, 0),)),
    "waves": network(Columns(5), (20, 5), before=(Periodic(),)),
    "scale": network(Columns(5), (20, 5), before=(Scale(),)),
    "scaled codes": network(CATEGORIES, (20, 5), before=(Scale(),)),
    "scaled codes alone": network(Columns(0, (3, 9)), (20, 5), before=(Scale(),)),
    "ntk": network(CATEGORIES, (20, 33, 5), activation="selu", ntk=True),
    "realmlp": network(
        CATEGORIES, (64, 48, 5), activation="selu", before=(Periodic(), Embedding(), Scale()), ntk=True, dropout=0.15
    ),
}


def rows_of(architecture: Architecture, n: int, seed: int = 0, *, soft: bool = False, weighted: bool = False) -> Rows:
    random = np.random.default_rng(seed)
    columns, classes = architecture.input, architecture.n_classes
    assert isinstance(columns, Columns)
    targets = random.dirichlet(np.ones(classes), n).astype(np.float32) if soft else random.integers(0, classes, n)
    weight = (random.uniform(0.2, 2, n) * (random.random(n) > 0.2)).astype(np.float32)
    codes = np.array([[random.integers(0, c) for c in columns.codes] for _ in range(n)], np.int32)
    return Rows(
        targets if soft else targets.astype(np.int32),
        weight=weight if weighted else None,
        numbers=random.standard_normal((n, columns.numbers)).astype(np.float32) if columns.numbers else None,
        codes=codes.reshape(n, -1) if columns.codes else None,
    )


def engine_of(architecture: Architecture, *, n_threads: int = 1, label_smoothing: float = 0.0) -> NativeEngine:
    """At start weights, none of them zero."""
    engine = NativeEngine(architecture, seed=3, n_threads=n_threads, label_smoothing=label_smoothing)
    engine.initialise()
    return engine


def batch_of(rows: Rows, indices: Any, label_smoothing: float = 0.0, masks: Any = ()) -> Batch:
    taken = {name: None if array is None else array[indices] for name, array in vars(rows).items()}
    return Batch(
        taken["targets"],
        numbers=taken["numbers"],
        codes=taken["codes"],
        weight=taken["weight"],
        label_smoothing=label_smoothing,
        masks=masks,
    )


def masks_of(architecture: Architecture, n: int) -> list[Any]:
    random = np.random.default_rng(5)
    return [random.random((n, layer.n_in)) >= layer.dropout for layer in architecture.hidden if layer.dropout > 0]


def assert_as_truth(architecture: Architecture, rows: Rows, indices: Any, *, label_smoothing: float = 0.0) -> None:
    engine = engine_of(architecture, label_smoothing=label_smoothing)
    masks = masks_of(architecture, len(indices))
    loss, gradients = engine.loss_and_gradients(rows, indices, dropout_masks=masks or None)
    batch = batch_of(rows, indices, label_smoothing, masks)
    true_loss, true_gradients = loss_and_gradients(architecture, engine.parameters(), batch)
    assert loss == pytest.approx(true_loss, rel=1e-6)
    for name, truth in true_gradients.items():
        assert np.abs(truth).max() > 0, name
        # Sums of float32 products: the errors are of the size of the largest terms, not of each sum.
        assert_close(truth, gradients[name], rtol=0, atol=5e-6 * np.abs(truth).max())


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_are_those_of_the_float64_network(name: str) -> None:
    architecture = NETWORKS[name]
    rows = rows_of(architecture, 40)

    assert_as_truth(architecture, rows, np.random.default_rng(1).permutation(40)[:33])


@pytest.mark.parametrize("n", [1, 15, 16, 17, 128, 300])
def test_gradients_of_batches_of_every_size(n: int) -> None:
    architecture = NETWORKS["realmlp"]

    assert_as_truth(architecture, rows_of(architecture, n, soft=True, weighted=n > 1), np.arange(n))


@pytest.mark.parametrize(("soft", "weighted", "label_smoothing"), [*itertools.product([0, 1], [0, 1], [0.0, 0.2])])
def test_gradients_with_weights_and_soft_targets(soft: int, weighted: int, label_smoothing: float) -> None:
    architecture = NETWORKS["dropout"]
    rows = rows_of(architecture, 60, soft=bool(soft), weighted=bool(weighted))

    assert_as_truth(architecture, rows, np.arange(50), label_smoothing=label_smoothing)


@pytest.mark.parametrize("name", ["four layers", "realmlp", "codes alone", "long chains"])
def test_logits_are_those_of_the_float64_network(name: str) -> None:
    architecture = NETWORKS[name]
    rows = rows_of(architecture, 200)
    engine = engine_of(architecture)
    expected = logits(architecture, engine.parameters(), batch_of(rows, np.arange(200)))

    assert_close(expected, engine.logits(rows), rtol=0, atol=2e-6 * np.abs(expected).max())
    assert_bit_equal(engine.logits(rows)[[7, 7, 3]], engine.logits(rows, np.array([7, 7, 3])))


@pytest.mark.parametrize("name", ["realmlp", "four layers", "codes"])
def test_no_bit_depends_on_the_rows_at_once(name: str) -> None:
    architecture = NETWORKS[name]
    rows, indices = rows_of(architecture, 90), np.arange(90)
    masks = masks_of(architecture, 90) or None
    engine = engine_of(architecture)
    loss, expected = engine.loss_and_gradients(rows, indices, dropout_masks=masks)

    for micro_rows in (1, 4, 16):
        other, gradients = engine.loss_and_gradients(rows, indices, dropout_masks=masks, micro_rows=micro_rows)
        assert loss == other
        for key, value in expected.items():
            assert_bit_equal(value, gradients[key])


def test_a_row_of_weight_zero_is_not_there() -> None:
    architecture = NETWORKS["embeddings"]
    rows = rows_of(architecture, 30)
    weight = np.ones(30, np.float32)
    weight[::3] = 0
    spoiled = np.where(weight[:, None] == 0, np.float32(1e30), rows.numbers)
    engine = engine_of(architecture)
    expected = engine.loss_and_gradients(
        Rows(rows.targets, weight, numbers=rows.numbers, codes=rows.codes), np.arange(30)
    )
    actual = engine.loss_and_gradients(Rows(rows.targets, weight, numbers=spoiled, codes=rows.codes), np.arange(30))

    assert expected[0] == actual[0]
    for key, value in expected[1].items():
        assert_bit_equal(value, actual[1][key])


def test_smooth_activations_far_from_zero() -> None:
    """Weights so large that tanh and sigmoid sit at their ends, and selu at its floor."""
    for activation in ("tanh", "sigmoid", "selu"):
        architecture = network(Columns(1), (16, 2), activation=activation)
        engine = engine_of(architecture)
        start = engine.state()
        parameters = {name: value.copy() for name, value in start.parameters.items()}
        parameters["dense1.weight"][:] = np.geomspace(1e-6, 1e4, 16)[:, None]
        parameters["dense1.bias"][:] = 0
        engine.load_state(EngineState(parameters, start.first_moments, start.second_moments, 0, 1.0, 1.0))
        numbers = np.array([[1.0], [-1.0], [0.3], [-0.01]], np.float32)
        rows = Rows(np.zeros(4, np.int32), numbers=numbers)
        with np.errstate(over="ignore"):  # of the reference: 1 / (1 + exp(1e4))
            expected = logits(architecture, parameters, batch_of(rows, np.arange(4)))

        assert_close(expected, engine.logits(rows), rtol=1e-6, atol=1e-6)


def test_nan_of_a_weight_reaches_the_loss() -> None:
    for name in ("one layer", "tanh", "sigmoid", "selu", "realmlp"):
        architecture = NETWORKS[name]
        engine = engine_of(architecture)
        state = engine.state()
        state.parameters["dense1.weight"][0, 0] = np.nan
        engine.load_state(state)

        assert np.isnan(engine.loss_and_gradients(rows_of(architecture, 20), np.arange(20))[0]), name
