"""The convolutional engine trains the same bytes whatever runs it: threads, targets, blocks of rows; and as ever."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asserts import assert_bit_equal
from softclass.kernels import _cpu
from softclass.networks.architecture import Architecture
from softclass.networks.augmentation import philox
from softclass.networks.engine import Plan, Rows
from softclass.networks.layers import Convolution, Dropout, Flatten, FullyConnected, MaxPool, Pixels, Relu
from softclass.networks.native import NativeEngine

POOLED = (MaxPool(), Relu())
NETWORKS = {
    "classic": Architecture(Pixels(28, 28), (Convolution(32), *POOLED, Flatten(), FullyConnected(10))),
    "two-hidden": Architecture(
        Pixels(19, 22),
        (
            *(Convolution(32, 3, "same"), *POOLED, Convolution(64, 3, "same"), *POOLED, Flatten(), Dropout(0.25)),
            *(FullyConnected(128), Relu(), Dropout(0.25), FullyConnected(10)),
        ),
    ),
    "large kernels": Architecture(
        Pixels(17, 14, 3),
        (*(Convolution(17, 5), *POOLED, Convolution(33, 5, "same"), *POOLED, Flatten()), FullyConnected(13)),
    ),
    "twelve classes": Architecture(
        Pixels(12, 15, 4), (Convolution(48, 5, "same"), *POOLED, Flatten(), Dropout(0.4), FullyConnected(12))
    ),
    "large hidden": Architecture(  # so large that the gradient of its weight comes after the lanes
        Pixels(28, 26),
        (
            *(Convolution(16, 3, "same"), *POOLED, Flatten(), Dropout(0.25)),
            *(FullyConnected(131), Relu(), Dropout(0.25), FullyConnected(10)),
        ),
    ),
}
DIGESTS = {
    "classic": "e6b32ad05748baea30427f03686a91d6a389d3511a6b9144201ce63d5cb3f28f",
    "two-hidden": "4fc5d265383fc97a8ba5abf267e3be57ab7e1c976abfdf35bc4f377a2e54b769",
    "large kernels": "4c874987512239c814af4925f2e1b100360de1049cef4ee5b793de0fa00ae0e1",
    "twelve classes": "d93db467939be62efa2a9a16d8d4d8caf9b796a13af658f0342d39815b49cad2",
    "large hidden": "14935f666f715c20486b3a0260174b072033790740c7faad6b386f0b0514265d",
}
N_ROWS, BATCH, STEPS = 330, 96, 20
PLAN = Plan(N_ROWS, BATCH, 5, 0.01, flip=True, shift=2)


def rows_of(architecture: Architecture) -> Rows:
    """Even pixels, the same with every NumPy."""
    what = architecture.input
    assert isinstance(what, Pixels)
    shape = (N_ROWS, what.height, what.width, what.channels)
    words = philox(1, np.arange(-(-int(np.prod(shape)) // 16)), 0, 0, 99)
    pixels = words.astype("<u4").view(np.uint8).reshape(-1)[: int(np.prod(shape))].reshape(shape)
    return Rows(
        (np.arange(N_ROWS) * 7 % architecture.n_classes).astype(np.int32),
        (1 + np.arange(N_ROWS) % 3).astype(np.float32) / np.float32(2),
        pixels=pixels.copy(),
        offset=np.full(what.channels, 120, np.float32),
        scale=np.full(what.channels, 1 / 64, np.float32),
    )


def trained(name: str, n_threads: int = 1) -> NativeEngine:
    engine, rows = NativeEngine(NETWORKS[name], seed=3, n_threads=n_threads), rows_of(NETWORKS[name])
    engine.initialise()
    step = 0
    while step < STEPS:
        epoch_end = (step // PLAN.steps_per_epoch + 1) * PLAN.steps_per_epoch
        report = engine.run(rows, np.arange(N_ROWS)[::-1], step, min(STEPS, epoch_end), PLAN)
        assert report.is_finite
        step = report.last_step
    return engine


def digest_of(name: str, n_threads: int = 1) -> str:
    state = trained(name, n_threads).state()
    found = hashlib.sha256()
    for part in (state.parameters, state.first_moments, state.second_moments):
        for tensor in sorted(part):
            found.update(part[tensor].astype("<f4").tobytes())
    return found.hexdigest()


@pytest.fixture
def target() -> Iterator[None]:
    kept = _cpu.target()
    yield
    _cpu.set_target(kept)


@pytest.mark.parametrize("name", NETWORKS)
def test_twenty_steps_give_the_bytes_they_always_gave(name: str) -> None:
    """A change of these is a change of every model that is trained: the changelog has to say so."""
    assert digest_of(name) == DIGESTS[name]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("n_threads", [2, 3, 5])
def test_threads_change_no_bit(name: str, n_threads: int) -> None:
    assert digest_of(name, n_threads) == DIGESTS[name]


def targets_and_networks() -> list[Any]:
    """The plain target, which is only there to be right, trains the larger networks in the slow run."""
    return [
        pytest.param(wanted, name, marks=pytest.mark.slow if wanted == "plain" and name != "classic" else ())
        for wanted in _cpu.targets()
        for name in NETWORKS
    ]


@pytest.mark.parametrize(("wanted", "name"), targets_and_networks())
def test_targets_change_no_bit(name: str, wanted: str, target: None) -> None:
    _cpu.set_target(wanted)

    assert digest_of(name) == DIGESTS[name]


@pytest.mark.parametrize("name", NETWORKS)
def test_the_plain_target_has_the_gradients_of_the_best(name: str, target: None) -> None:
    rows, indices = rows_of(NETWORKS[name]), np.arange(3, 8)
    found = []
    for wanted in (_cpu.target(), "plain"):
        _cpu.set_target(wanted)
        engine = NativeEngine(NETWORKS[name], seed=3, n_threads=1)
        engine.initialise()
        found.append(engine.loss_and_gradients(rows, indices))
    (loss, gradients), (plain_loss, plain) = found

    assert loss == plain_loss
    for tensor, gradient in gradients.items():
        assert_bit_equal(gradient, plain[tensor])


@pytest.mark.parametrize("wanted", _cpu.targets())
def test_a_forced_target_trains_the_same_bytes(wanted: str) -> None:
    code = "from networks.test_cnn_bits import digest_of; print(digest_of('classic'))"
    paths = os.pathsep.join([str(Path(__file__).resolve().parents[1]), *filter(None, sys.path)])
    environment = {**os.environ, "SOFTCLASS_CPU_TARGET": wanted, "PYTHONPATH": paths}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)

    assert run.stdout.strip() == DIGESTS["classic"]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("micro_rows", [1, 4, 5, 16])
def test_rows_at_once_change_no_bit(name: str, micro_rows: int) -> None:
    rows, indices = rows_of(NETWORKS[name]), np.arange(3, 102)
    engine = NativeEngine(NETWORKS[name], seed=3, n_threads=1)
    engine.initialise()
    loss, gradients = engine.loss_and_gradients(rows, indices)
    again, others = engine.loss_and_gradients(rows, indices, micro_rows=micro_rows)

    assert loss == again
    for tensor, gradient in gradients.items():
        assert_bit_equal(gradient, others[tensor])


def test_a_step_takes_the_gradient_that_is_told_of_its_batch() -> None:
    """The first moment after a step is a tenth of it, also for a weight whose gradient comes after the lanes."""
    hidden = (FullyConnected(128), Relu(), FullyConnected(10))
    network = Architecture(Pixels(28, 28), (Convolution(16, 3, "same"), *POOLED, Flatten(), *hidden))
    rows, engine = rows_of(network), NativeEngine(network, seed=3, n_threads=2)
    engine.initialise()
    _, gradients = engine.loss_and_gradients(rows, np.arange(BATCH))
    engine.run(rows, np.arange(N_ROWS), 0, 1, Plan(N_ROWS, BATCH, 5, 0.01))
    state = engine.state()

    for tensor, gradient in gradients.items():
        large = np.where(np.abs(gradient) < 1e-17, np.float32(0), gradient)  # what AdamW counts as a gradient
        assert_bit_equal(state.first_moments[tensor], np.float32(1 - 0.9) * large)


@pytest.mark.parametrize("name", NETWORKS)
def test_logits_of_a_row_hang_on_that_row_alone(name: str) -> None:
    rows, engine = rows_of(NETWORKS[name]), trained(name)
    alone = np.concatenate([engine.logits(rows, np.array([i])) for i in range(20)])

    assert_bit_equal(engine.logits(rows)[:20], alone)
