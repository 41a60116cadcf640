"""The quasi-Newton direction, against the two loops as they are written in books and the secant equation."""

import numpy as np
import pytest

from asserts import assert_close
from softclass.estimators.lbfgs import Pairs


def quadratic(size, seed):
    """The curvature of a quadratic, and steps with what they turn its gradient by."""
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((size, size))
    hessian = root @ root.T + np.eye(size)
    steps = rng.standard_normal((40, size))
    return hessian, steps, steps @ hessian


def two_loops(gradient, pairs, inverse):
    """Nocedal (1980), the start scaled by the last pair."""
    rest, shares = gradient.copy(), []
    for step, turn in reversed(pairs):
        shares.append(step @ rest / (step @ turn))
        rest -= shares[-1] * turn
    step, turn = pairs[-1]
    found = inverse @ rest * (step @ turn) / (turn @ inverse @ turn)
    for (step, turn), share in zip(pairs, reversed(shares), strict=True):
        found += (share - turn @ found / (step @ turn)) * step
    return -found


@pytest.mark.parametrize("kept", [1, 2, 5, 7, 8, 9, 23])
def test_directions_are_those_of_the_two_loops_while_old_pairs_give_way(kept):
    hessian, steps, turns = quadratic(12, 0)
    inverse = np.diag(1.0 / hessian.diagonal())
    gradient = np.random.default_rng(1).standard_normal(12)
    pairs = Pairs(7, 12)
    for step, turn in zip(steps[:kept], turns[:kept], strict=True):
        pairs.add(step[None], turn[None], 1.0)

    found = pairs.direction(gradient[None], lambda g: g @ inverse)

    last = list(zip(steps[:kept], turns[:kept], strict=True))[-7:]
    assert len(pairs) == len(last)
    assert_close(two_loops(gradient, last, inverse), found[0], rtol=1e-9, atol=1e-12)
    newest = pairs.direction(turns[kept - 1][None], lambda g: g @ inverse)
    assert_close(-steps[kept - 1], newest[0], rtol=1e-9, atol=1e-10)  # the secant equation


def test_without_pairs_the_direction_is_that_of_the_inverse_and_no_shift_is_common_to_the_classes():
    gradient = np.random.default_rng(0).standard_normal((3, 4))
    pairs = Pairs(5, 12)

    assert_close(
        -2.0 * (gradient - gradient.mean(axis=0)), pairs.direction(gradient, lambda g: 2.0 * g), rtol=1e-14, atol=0
    )

    pairs.add(np.ones((3, 4)), np.full((3, 4), 3.0), 1.0)
    assert_close(np.zeros(4), pairs.direction(gradient, lambda g: g).sum(axis=0), rtol=0, atol=1e-14)
    pairs.clear()
    assert len(pairs) == 0
    assert_close(-(gradient - gradient.mean(axis=0)), pairs.direction(gradient, lambda g: g), rtol=1e-14, atol=0)


def test_a_pair_whose_product_is_nothing_beside_the_slope_is_not_kept():
    pairs = Pairs(5, 2)

    pairs.add(np.array([[1.0, 0.0]]), np.array([[-1.0, 0.0]]), 1.0)
    pairs.add(np.array([[1.0, 0.0]]), np.array([[1e-14, 0.0]]), -1.0)

    assert len(pairs) == 0
