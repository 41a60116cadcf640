"""The one sentence: what it says for models that are good, useless, too bold, too shy, or untested."""

from __future__ import annotations

import numpy as np
import pytest

from softclass.report.verdict import verdict_on
from softclass.trust.evaluation import evaluate


def verdict_of(factor: float, n: int, *, shuffled: bool = False):
    rng = np.random.default_rng(0)
    logits = 2 * rng.normal(size=(n, 4))
    targets = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    targets = rng.permutation(targets) if shuffled else targets
    return verdict_on(evaluate(factor * logits, targets, ["a", "b", "c", "d"], bootstrap=200))


@pytest.mark.parametrize(
    ("factor", "n", "shuffled", "expected"),
    [
        (1.0, 2000, False, ("good", "verdict_good", False)),
        (1.0, 60, False, ("unsure", "verdict_good", True)),
        (3.0, 2000, False, ("warn", "verdict_over", False)),
        (0.3, 2000, False, ("warn", "verdict_under", False)),
        (1.0, 2000, True, ("bad", "verdict_useless", False)),
    ],
)
def test_verdict(factor: float, n: int, shuffled: bool, expected: tuple[str, str, bool]) -> None:
    found = verdict_of(factor, n, shuffled=shuffled)

    assert (found.level, found.key, found.few_rows) == expected


def test_a_small_error_on_many_rows_is_nearly_right() -> None:
    found = verdict_of(1.05, 60_000)

    assert (found.level, found.key) == ("good", "verdict_near")


def test_errors_in_both_directions_are_mixed() -> None:
    # Half of the rows promise 95 % and are right in 75 %, half promise 65 % and are always right.
    rng = np.random.default_rng(1)
    said = rng.integers(0, 2, size=1000)
    wrong = (np.arange(1000) < 500) & (rng.random(1000) < 0.25)
    margin = np.where(np.arange(1000) < 500, 3.0, 0.62)
    logits = margin[:, None] * np.eye(2)[said]
    found = verdict_on(evaluate(logits, np.where(wrong, 1 - said, said), ["a", "b"], bootstrap=200))

    assert found.key == "verdict_mixed"


def test_nothing_held_out() -> None:
    assert verdict_on(None).key == "verdict_none"
