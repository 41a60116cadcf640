"""The choice of C."""

from __future__ import annotations

import re
import time

import numpy as np
import pytest
from sklearn.datasets import load_iris, make_classification

from asserts import assert_close
from softclass.estimators import regularization
from softclass.estimators.regularization import GRID, choose_c
from softclass.estimators.softmax_regression import SoftmaxRegression


def test_noise_wants_a_strong_penalty():
    rng = np.random.default_rng(0)

    assert choose_c(rng.standard_normal((200, 20)), rng.integers(0, 3, 200), n_classes=3).C <= 0.01


def test_clear_signal_wants_a_weak_penalty():
    X, y = load_iris(return_X_y=True)

    assert choose_c(X, y, n_classes=3).C >= 1


def test_few_rows_are_all_held_out_in_turn():
    X, y = load_iris(return_X_y=True)

    choice = choose_c(X, y, n_classes=3)

    assert choice.n_held_out == 150
    assert tuple(choice.losses) == GRID


def test_many_rows_hold_out_a_fifth():
    X, y = make_classification(2000, 5, random_state=0)

    assert choose_c(X, y, n_classes=2).n_held_out == pytest.approx(400, abs=2)


def test_losses_are_those_of_separate_fits(monkeypatch):
    X, y = make_classification(1500, 8, n_informative=4, n_classes=3, random_state=0)
    folds = []
    deal = regularization._deal_out
    monkeypatch.setattr(regularization, "_deal_out", lambda *given: folds.append(deal(*given)) or folds[-1])
    choice = choose_c(X, y, n_classes=3)
    held = folds[0] == 0

    model = SoftmaxRegression(C=10.0).fit(X[~held], y[~held])
    loss = -model.predict_log_proba(X[held])[np.arange(held.sum()), y[held]].mean()

    assert choice.losses[10.0] == pytest.approx(loss, rel=1e-3)  # the tolerance of the choice


def test_weaker_penalties_are_left_out_once_the_loss_rises():
    rng = np.random.default_rng(0)

    losses = choose_c(rng.standard_normal((1000, 200)), np.arange(1000) % 3, n_classes=3).losses

    assert len(losses) < len(GRID)
    assert min(losses.values()) * 1.05 < list(losses.values())[-1]


def test_equal_losses_take_the_stronger_penalty(monkeypatch):
    monkeypatch.setattr(
        regularization, "_path", lambda *given: dict.fromkeys(GRID, (0.5, 0.1)) | {1000.0: (0.4999, 0.1)}
    )
    X, y = load_iris(return_X_y=True)

    assert choose_c(X, y, n_classes=3).C == 0.001


def test_same_seed_same_choice():
    X, y = load_iris(return_X_y=True)

    assert choose_c(X, y, n_classes=3, seed=4).losses == choose_c(X, y, n_classes=3, seed=4).losses


def test_past_deadline_says_one():
    X, y = load_iris(return_X_y=True)

    choice = choose_c(X, y, n_classes=3, deadline=time.monotonic() - 1)

    assert (choice.C, choice.losses) == (1.0, {})


@pytest.mark.parametrize(
    ("targets", "n_classes"),
    [([0, 1, 2], 3), ([0, 0, 0, 1], 2), ([0, 1], 2)],
)
def test_too_few_rows_to_hold_out_do_not_fail(targets, n_classes):
    features = np.arange(len(targets), dtype=np.float32)[:, None]

    assert choose_c(features, np.array(targets), n_classes=n_classes).C > 0


def test_wide_rows_are_narrowed_to_their_span(monkeypatch):
    monkeypatch.setattr(regularization, "NARROW_NUMBERS", 0)
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((100, 500)).astype(np.float32), np.arange(100) % 2
    X[:, :50] += 2 * y[:, None]

    choice = choose_c(X, y, n_classes=2)

    assert tuple(choice.losses) == GRID
    assert choice.losses[1.0] < np.log(2)


def test_narrowed_rows_have_the_same_inner_products(monkeypatch):
    monkeypatch.setattr(regularization, "NARROW_NUMBERS", 0)
    rng = np.random.default_rng(0)
    X = rng.standard_normal((100, 500))
    body, others = regularization._narrowed(X[:80], X[80:], np.ones(80))
    centre = X[:80].mean(axis=0)

    assert body.shape[1] == 79
    assert_close((X[80:] - centre) @ (X[:80] - centre).T, others @ body.T, rtol=0, atol=1e-10)


def test_class_weights_enter_the_fits():
    X, y = make_classification(300, 5, weights=[0.9], flip_y=0.2, random_state=0)

    plain, even = choose_c(X, y, n_classes=2), choose_c(X, y, n_classes=2, class_weight="balanced")

    assert even.losses[1.0] > plain.losses[1.0]  # the held-out losses are of the rows as they are


def test_given_class_weights_equal_balanced_ones():
    y = np.arange(300) % 7 // 5
    fold = regularization._class_factors("balanced", np.array([0, 1]), y, np.ones(300))
    expected = {k: float(fold[y == k][0]) for k in (0, 1)}

    assert_close(fold, regularization._class_factors(expected, np.array([0, 1]), y, np.ones(300)), rtol=0, atol=0)


def test_every_class_is_spread_over_the_folds():
    targets = np.repeat([0, 1, 2, 3], [100, 7, 2, 1])

    fold = regularization._deal_out(targets, np.random.default_rng(0))

    assert re.sub(r"\s+", " ", str(np.bincount(fold[:100]))) == "[20 20 20 20 20]"
    assert np.bincount(fold[100:107], minlength=5).max() == 2
    assert fold[-1] == -1


def test_every_strength_is_tried_and_the_choice_stays():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((1200, 60)), rng.integers(0, 3, 1200)

    few, every = choose_c(X, y, n_classes=3), choose_c(X, y, n_classes=3, every=True)

    assert len(few.losses) < len(every.losses) == len(GRID)
    assert few.C == every.C
    assert {strength: every.losses[strength] for strength in few.losses} == few.losses


def test_the_standard_error_of_one_part_is_that_of_its_rows():
    X, y = make_classification(2000, 5, random_state=0)

    choice = choose_c(X, y, n_classes=2, grid=[1e-9])  # the shares of the classes: losses of two values

    share = y.mean()
    spread = np.sqrt(share * (1 - share)) * abs(np.log(share / (1 - share)))
    assert choice.folds == 1
    assert choice.standard_errors[1e-9] == pytest.approx(spread / np.sqrt(choice.n_held_out), abs=1e-3)


def test_the_standard_error_of_folds_is_that_of_their_mean(monkeypatch):
    X, y = load_iris(return_X_y=True)
    losses = iter([1.0, 2.0, 4.0, 8.0, 5.0])
    monkeypatch.setattr(regularization, "_path", lambda *given: {1.0: (next(losses), 0.1)})

    choice = choose_c(X, y, n_classes=3, folds=5)

    assert (choice.folds, choice.losses) == (5, {1.0: pytest.approx(4.0)})
    assert choice.standard_errors[1.0] == pytest.approx(np.std([1, 2, 4, 8, 5], ddof=1) / np.sqrt(5))


def test_rows_may_be_given_only_when_they_are_asked_for():
    X, y = make_classification(1500, 8, n_informative=4, n_classes=3, random_state=0)

    class Asked:
        shape = X.shape

        def __getitem__(self, rows):
            return X[rows]

    assert choose_c(Asked(), y, n_classes=3) == choose_c(X, y, n_classes=3)
