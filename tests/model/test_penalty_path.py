"""Other strengths of the penalty: the facts that the report charts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_iris

from asserts import assert_close
from softclass.data import samples
from softclass.estimators.regularization import GRID, choose_c
from softclass.estimators.softmax_regression import SoftmaxRegression
from softclass.model import penalty_path
from softclass.model.penalty_path import path_facts, weight_curves
from softclass.model.train import train

PENGUINS = samples.path("penguins.csv")
IRIS, KINDS = load_iris(return_X_y=True)
NAMES = ["sepal length", "sepal width", "petal length", "petal width"]


def quiet(event: str, facts: dict[str, Any]) -> None:
    """A listener, so that notes are not warnings."""


def curves(features: Any = IRIS, targets: Any = KINDS, **given: Any) -> dict[str, Any]:
    options: dict[str, Any] = {"class_weight": None, "chosen": 1.0, "tol": 1e-8, "seed": 0}
    classes = ["setosa", "versicolor", "virginica"][: targets.max() + 1]
    return weight_curves(features, targets, None, names=NAMES, classes=classes, **{**options, **given})


def test_the_curves_are_the_weights_of_separate_fits() -> None:
    found = curves()

    for place in (0, 8, 24):
        weight = SoftmaxRegression(C=found["C"][place], tol=1e-10).fit(IRIS, KINDS).coef_
        for k, (_, columns) in enumerate(found["classes"].items()):
            for name, curve in columns.items():
                assert_close(weight[k, NAMES.index(name)], curve[place], rtol=1e-4, atol=1e-6)


def test_two_classes_have_one_panel_around_their_mean() -> None:
    found = curves(IRIS[50:], KINDS[50:] - 1)
    weight = SoftmaxRegression(C=1.0, tol=1e-10).fit(IRIS[50:], KINDS[50:]).coef_[0] / 2

    assert list(found["classes"]) == ["versicolor"]  # the name given to class 1
    middle = found["C"].index(1.0)
    for name, curve in found["classes"]["versicolor"].items():
        assert curve[middle] == pytest.approx(weight[NAMES.index(name)], rel=1e-4)


def test_the_strengths_reach_a_chosen_one_outside_the_usual_range() -> None:
    assert (curves(chosen=1.0)["C"][0], curves(chosen=1.0)["C"][-1]) == pytest.approx((1e-3, 1e3))
    assert curves(chosen=3e4)["C"][-1] == pytest.approx(1e5)
    assert curves(chosen=float("inf"))["C"][-1] == pytest.approx(1e3)


def test_many_rows_are_sampled_with_all_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(penalty_path, "CURVE_ROWS", 60)
    targets = np.array([0] * 149 + [1])

    found = curves(IRIS, targets)

    assert found["sampled"]
    assert 60 <= found["rows"] <= 62
    assert list(found["classes"]) == ["versicolor"]


def test_with_very_many_weights_there_is_one_fit_a_power_of_ten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(penalty_path, "MANY_WEIGHTS", 11)

    assert curves()["C"] == pytest.approx(GRID)


def test_past_the_time_limit_there_are_no_curves(tmp_path: Path) -> None:
    train(PENGUINS, "species", path=True, C=1.0, time_limit="0.001s", output=tmp_path / "run", progress=quiet)

    assert "weights" not in told(tmp_path / "run").get("path", {})


def test_the_facts_are_those_of_the_choice() -> None:
    choice = choose_c(IRIS, KINDS, n_classes=3, folds=4)
    facts = path_facts(choice, choice.C, was_chosen=True)

    assert facts["C"] == sorted(GRID)
    assert facts["log_loss"] == [choice.losses[strength] for strength in GRID]
    assert (facts["folds"], facts["held_out_rows"]) == (4, 150)


def told(run: Path) -> dict[str, Any]:
    return json.loads((run / "metrics.json").read_text())


@pytest.mark.parametrize(
    ("options", "folds", "was_chosen", "chosen", "with_weights"),
    [
        ({"path": True}, 5, True, 10.0, True),
        ({"cv": 3}, 3, True, 100.0, False),
        ({"cv": 3, "C": 0.5}, 3, False, 0.5, False),
        ({"path": True, "C": float("inf")}, 5, False, None, True),
    ],
    ids=str,
)
def test_path_and_folds_are_told(
    tmp_path: Path, options: dict[str, Any], folds: int, was_chosen: bool, chosen: float | None, with_weights: bool
) -> None:
    train(PENGUINS, "species", output=tmp_path / "run", progress=quiet, **options)
    path = told(tmp_path / "run")["path"]

    assert (path["folds"], path["was_chosen"], path["chosen"]) == (folds, was_chosen, chosen)
    assert ("weights" in path) == with_weights
    assert set(GRID) | ({chosen} if chosen else set()) == set(path["C"])


def test_images_have_a_path_without_columns(tmp_path: Path) -> None:
    train(samples.path("digits.npz"), C=1.0, path=True, rows=300, output=tmp_path / "run", progress=quiet)

    assert "weights" not in told(tmp_path / "run")["path"]
    assert "Other strengths of the penalty" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


def test_a_chart_changes_no_bit_of_the_model() -> None:
    plain = train(PENGUINS, "species", progress=quiet).to_bytes()

    assert train(PENGUINS, "species", path=True, odds_ratios=True, progress=quiet).to_bytes() == plain
