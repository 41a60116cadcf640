"""NaN in the compiled engine: it reaches the loss, the epoch begins again, and no weight with it ever leaves."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from softclass.errors import NotFiniteError
from softclass.networks.engine import EngineState, Plan, Rows
from softclass.networks.known_architectures import image_architecture, table_architecture
from softclass.networks.layers import Columns, Pixels
from softclass.networks.native import NativeEngine
from softclass.networks.training import Score, train_network

PLAN = Plan(n_rows=64, batch=16, epochs=3, peak_rate=0.01)


def _score(logits, targets, weight) -> Score:
    return Score(0.0, 1.0, 0.0, 0.0)


def _table() -> tuple[NativeEngine, Rows]:
    numbers = np.random.default_rng(0).normal(size=(64, 5)).astype(np.float32)
    rows = Rows(targets=(numbers[:, 0] > 0).astype(np.int32), numbers=numbers)
    return NativeEngine(table_architecture(Columns(5), 2, (20,)), seed=0, n_threads=1), rows


def _images() -> tuple[NativeEngine, Rows]:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 9, 9, 1), dtype=np.uint8)
    constants = {"offset": np.array([127.0], np.float32), "scale": np.array([0.01], np.float32)}
    rows = Rows(targets=(pixels[:, 4, 4, 0] > 127).astype(np.int32), pixels=pixels, **constants)
    return NativeEngine(image_architecture("two", Pixels(9, 9), 2), seed=0, n_threads=1), rows


each_kind = pytest.mark.parametrize("made", [_table, _images], ids=["table", "images"])


def _broken(engine: NativeEngine, kind: str, name: str, value: float) -> EngineState:
    engine.initialise()
    state = engine.state()
    getattr(state, kind)[name].flat[3] = value
    return state


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(
    ("made", "name"),
    [(_table, "dense1.weight"), (_table, "dense1.bias"), (_images, "stage1.weight"), (_images, "stage2.bias")],
)
def test_a_weight_that_is_not_finite_ends_the_run(made, name, value):
    engine, rows = made()
    start = _broken(engine, "parameters", name, value)
    message = (
        "[SC132] train_network: loss or gradient is not finite at epoch 1, step 0, learning rate 3.6e-05, for the third"
        f" time; the largest parameter is {name} "
    )

    with pytest.raises(NotFiniteError, match=re.escape(message)):
        train_network(engine, rows, None, PLAN, seed=0, score=_score, start=start)


@each_kind
@pytest.mark.parametrize("kind", ["first_moments", "second_moments"])
def test_a_moment_that_is_not_a_number_never_reaches_a_result(made, kind):
    engine, rows = made()
    start = _broken(engine, kind, "dense1.weight", np.nan)

    with pytest.raises(NotFiniteError, match=re.escape("[SC132] train_network: ")):
        train_network(engine, rows, rows, PLAN, seed=0, score=_score, start=start)


@each_kind
def test_a_rate_of_a_million_is_given_up_with_its_place(made):
    engine, rows = made()
    message = (
        r"^\[SC132\] train_network: loss or gradient is not finite at epoch \d, step \d+, learning rate .*third time"
    )

    with pytest.raises(NotFiniteError, match=message):
        train_network(engine, rows, None, replace(PLAN, peak_rate=1e6), seed=0, score=_score)


@each_kind
def test_a_run_that_was_started_again_is_that_of_the_smaller_rate(made):
    engine, rows = made()
    train_network(engine, rows, None, PLAN, seed=0, score=_score)
    clean = engine.parameters()
    calls = []

    class Once(NativeEngine):
        def run(self, *args):
            report = super().run(*args)
            calls.append(report)
            return replace(report, is_finite=False) if len(calls) == 1 else report

    again = Once(engine.architecture, seed=0, n_threads=1)
    fitted = train_network(again, rows, None, replace(PLAN, peak_rate=PLAN.peak_rate / 0.3), seed=0, score=_score)

    assert len(fitted.restarts) == 1
    assert fitted.restarts[0].peak_rate == pytest.approx(PLAN.peak_rate)
    # 0.3 * (0.01 / 0.3) is 0.01 to a rounding.
    assert max(np.abs(clean[name] - array).max() for name, array in fitted.parameters.items()) < 1e-6
