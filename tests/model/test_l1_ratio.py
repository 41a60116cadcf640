"""Absolute values in the penalty of train: the optimum of the estimator, zeros, and what the run says of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asserts import assert_bit_equal, assert_close
from softclass.cli.summary import certificate_lines
from softclass.data import samples
from softclass.errors import UsageError
from softclass.estimators.softmax_regression import SoftmaxRegression
from softclass.model.examples import take_inputs
from softclass.model.layers import read_layers
from softclass.model.model import Model, load
from softclass.model.train import plan, train

PENGUINS = samples.path("penguins.csv")


def quiet(event: str, facts: dict[str, Any]) -> None:
    """A listener, so that notes are not warnings."""


def weight_of(model: Model) -> Any:
    [layer] = read_layers(model.body, model.manifest.preprocessing())
    return np.asarray(layer.weight)


@pytest.mark.parametrize("l1_ratio", [0.3, 1.0])
def test_the_model_holds_the_optimum_of_the_estimator(l1_ratio: float) -> None:
    model = train(PENGUINS, "species", C=0.5, l1_ratio=l1_ratio, tol=1e-9, progress=quiet)
    planned = plan(PENGUINS, "species", progress=quiet)
    rows = planned.parts.fit
    features = planned.preprocessing.apply(take_inputs(planned.examples.inputs, rows))  # type: ignore[arg-type]

    alone = SoftmaxRegression(C=0.5, l1_ratio=l1_ratio, tol=1e-9).fit(features, planned.examples.targets[rows])

    assert_close(alone.coef_, weight_of(model), rtol=1e-5, atol=1e-6)
    assert 0 < np.count_nonzero(weight_of(model)) < weight_of(model).size


def test_c_is_chosen_and_charted_with_the_same_penalty(tmp_path: Path) -> None:
    train(PENGUINS, "species", l1_ratio=1.0, path=True, cv=3, output=tmp_path / "run", progress=quiet)
    told = json.loads((tmp_path / "run" / "metrics.json").read_text(encoding="utf-8"))
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    curves = [curve for found in told["path"]["weights"]["classes"].values() for curve in found.values()]

    assert told["path"]["l1_ratio"] == told["fit"]["l1_ratio"] == 1.0
    assert told["fit"]["nonzero"] < told["fit"]["weights"] == 57
    assert any(curve[0] == 0.0 for curve in curves)  # at the strongest penalty
    assert "(l1)" in page
    assert "(l1 ratio)" in page
    assert "l1_ratio = 1.0  # given" in (tmp_path / "run" / "config.toml").read_text(encoding="utf-8")


def test_the_file_knows_its_penalty_and_a_ridge_says_nothing_of_it(tmp_path: Path) -> None:
    model = train(PENGUINS, "species", C=1.0, l1_ratio=0.25, progress=quiet)
    model.save(tmp_path / "model.onnx")

    assert load(tmp_path / "model.onnx").manifest.fit["l1_ratio"] == 0.25
    assert "l1_ratio" not in train(PENGUINS, "species", C=1.0, progress=quiet).manifest.fit


def test_streamed_features_give_the_bits_of_features_in_memory() -> None:
    whole = train(PENGUINS, "species", C=1.0, l1_ratio=0.5, progress=quiet)
    streamed = train(PENGUINS, "species", C=1.0, l1_ratio=0.5, memory_limit=1, progress=quiet)

    assert_bit_equal(np.frombuffer(whole.to_bytes(), np.uint8), np.frombuffer(streamed.to_bytes(), np.uint8))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"l1_ratio": 2}, "--l1-ratio must be between 0 and 1; got 2"),
        ({"l1_ratio": -0.1}, "--l1-ratio must be between 0 and 1; got -0.1"),
        ({"l1_ratio": float("nan")}, "--l1-ratio must be between 0 and 1; got nan"),
        ({"l1_ratio": "half"}, '--l1-ratio must be a number; got "half"'),
        ({"l1_ratio": 0.5, "C": float("inf")}, "--l1-ratio has no effect with --C inf"),
    ],
)
def test_other_ratios_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        train(PENGUINS, "species", progress=quiet, **options)

    assert message in str(caught.value)


def test_the_terminal_says_how_many_weights_are_left() -> None:
    facts = {"objective": 0.5, "gap": None, "gap_kind": "none", "passes": 3, "solver": "proximal", "separation": "",
             "l1_ratio": 1.0, "weights": 57, "nonzero": 12}  # fmt: skip

    assert "12 of 57 weights are not zero" in certificate_lines(facts)
