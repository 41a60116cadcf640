"""The bits of the loss: any layout, memory, target, number of threads, place of a row."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from asserts import assert_bit_equal, assert_close
from losses import BF, F2, F4, F8, INF, NAN, call, made_rows, made_shares, options_of, plain
from softclass.kernels import _cpu

TARGETS = _cpu.targets()
LAYOUTS = {
    "C": lambda a: np.ascontiguousarray(a),
    "F": lambda a: np.asfortranarray(a),
    "middle": lambda a: np.moveaxis(np.ascontiguousarray(np.moveaxis(a, -1, 1)), 1, -1),
    "reversed": lambda a: np.ascontiguousarray(a[..., ::-1])[..., ::-1],
    "rows reversed": lambda a: np.ascontiguousarray(a[::-1])[::-1],
    "every second": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "rows apart": lambda a: np.concatenate([a, a], axis=-1)[..., : a.shape[-1]],
    "not aligned": lambda a: np.frombuffer(b"x" + a.tobytes(), np.uint8)[1:].view(a.dtype).reshape(a.shape),
}


@pytest.mark.parametrize("dtype", [F2, BF, F4, F8], ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("K", [1, 3, 10, 17, 40, 41, 100])
def test_any_layout_has_the_bits_of_the_plain_one(K: int, soft: bool, layout: str, dtype: np.dtype) -> None:
    logits, targets = (a.reshape(3, 13, *a.shape[1:]) for a in made_rows(K, 39, 3, dtype))
    targets = made_shares(K, 39, dtype).reshape(3, 13, K) if soft else targets
    options = {"sample_weight": np.linspace(0, 1, 39).reshape(3, 13), "mean": True}
    expected = call(logits, targets, **options)
    lying = LAYOUTS[layout](logits)
    gradient = (
        LAYOUTS[layout](np.full_like(logits, 7)).copy()
        if layout == "not aligned"
        else LAYOUTS[layout](np.full_like(logits, 7))
    )

    made = call(lying, LAYOUTS[layout](targets) if soft else targets, gradient=gradient, **options)

    same = assert_bit_equal if K <= 40 or layout not in ("F", "middle") else nearly
    same(expected.losses, made.losses)
    same(plain(expected.gradient), plain(np.ascontiguousarray(made.gradient)))


def nearly(expected: np.ndarray, actual: np.ndarray) -> None:
    """More than 40 classes side by side: another order of the sum."""
    if expected.dtype.kind == "u" or expected.dtype == F2:
        assert np.mean(expected == actual) > 0.99
    else:
        assert_close(expected, actual, rtol=3e-7 if expected.dtype == F4 else 1e-14, atol=0)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_any_class_axis(axis: int) -> None:
    rng = np.random.default_rng(1)
    logits = rng.standard_normal((5, 6, 7)).astype(F4)
    shape = logits.shape[:axis] + logits.shape[axis + 1 :]
    targets = rng.integers(0, logits.shape[axis], shape)

    made = call(logits, targets, axis)

    expected = call(np.ascontiguousarray(np.moveaxis(logits, axis, -1)), targets)
    assert_bit_equal(expected.losses, made.losses)
    assert_bit_equal(expected.gradient, np.ascontiguousarray(np.moveaxis(made.gradient, axis, -1)))


@pytest.mark.parametrize("dtype", [F2, F4, F8])
@pytest.mark.parametrize("layout", ["C", "F", "reversed"])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("K", [2, 10, 17, 50, 300])
def test_the_gradient_may_be_where_the_logits_are(K: int, soft: bool, layout: str, dtype: np.dtype) -> None:
    logits, targets = made_rows(K, 50, 3, dtype)
    logits[7], logits[8, 0] = -INF, INF
    targets = made_shares(K, 50, F8) if soft else targets
    targets[9] = NAN if soft else -1
    expected = call(LAYOUTS[layout](logits), targets).gradient
    lying = LAYOUTS[layout](logits.copy())

    _cpu.cross_entropy_and_gradient(lying, targets, 1, None, None, None, 0.0, 1.0, 1e-3, False, None, lying)

    assert_bit_equal(np.ascontiguousarray(expected), np.ascontiguousarray(lying))


@pytest.mark.parametrize("dtype", [F4, F8])
@pytest.mark.parametrize("K", [1, 2, 3, 5, 10, 16, 17, 40, 41, 65])
@pytest.mark.parametrize("N", [1, 7, 15, 16, 17, 31, 33])
def test_nothing_outside_is_touched(N: int, K: int, dtype: np.dtype) -> None:
    logits, targets = made_rows(K, N, 3, dtype)
    around = np.full(N * K + 64, 7.0, dtype)
    gradient = around[32 : 32 + N * K].reshape(N, K)
    losses, states = np.full(N + 32, 7.0), np.full(2 * N + 32, 7.0)

    call(logits, targets, gradient=gradient)
    _cpu.cross_entropy(
        logits, targets, 1, None, None, None, 0.0, 1.0, 0.0, losses[16 : 16 + N], states[16 : 16 + 2 * N].reshape(N, 2)
    )

    assert np.all(around[:32] == 7)
    assert np.all(around[32 + N * K :] == 7)
    assert np.all(losses[:16] == 7)
    assert np.all(losses[16 + N :] == 7)
    assert np.all(states[:16] == 7)
    assert np.all(states[16 + 2 * N :] == 7)


# ---- bits


@pytest.fixture
def _target() -> Any:
    before = _cpu.target()
    yield
    _cpu.set_target(before)


@pytest.mark.usefixtures("_target")
@pytest.mark.parametrize("which", ["", "s", "l", "sci"])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("dtype", [F2, BF, F4, F8], ids=str)
@pytest.mark.parametrize(
    ("K", "N"), [(1, 9), (2, 40), (3, 70), (10, 300), (17, 33), (40, 20), (41, 9), (100, 7), (1000, 3)]
)
def test_every_target_gives_the_same_bits(K: int, N: int, dtype: np.dtype, soft: bool, which: str) -> None:
    logits, targets = made_rows(K, N, 8, dtype)
    targets = made_shares(K, N, dtype) if soft else targets
    logits[N // 2, 0], logits[N // 3, 0], logits[N // 4] = INF, -INF, -INF
    options = options_of(which.replace("i", "") if soft else which, K, N)
    made = []

    for target in TARGETS:
        _cpu.set_target(target)
        made.append(call(logits, targets, mean=True, **options))

    for other in made[1:]:
        assert_bit_equal(made[0].losses, other.losses)
        assert_bit_equal(plain(made[0].gradient), plain(other.gradient))
        assert_bit_equal(np.array(made[0][:2]), np.array(other[:2]))


@pytest.mark.parametrize(("K", "N"), [(3, 100_003), (10, 20_011), (100, 3_001), (5000, 50)])
@pytest.mark.parametrize("which", ["", "s"])
def test_the_number_of_threads_changes_no_bit(K: int, N: int, which: str) -> None:
    logits, targets = made_rows(K, N, 3, F4)
    options = options_of(which, K, N)

    one, two, three = (call(logits, targets, mean=True, threads=threads, **options) for threads in (1, 2, 3))

    for other in (two, three):
        assert_bit_equal(one.losses, other.losses)
        assert_bit_equal(one.gradient, other.gradient)
        assert_bit_equal(np.array(one[:2]), np.array(other[:2]))


@pytest.mark.parametrize("dtype", [F4, F8])
@pytest.mark.parametrize("K", [2, 3, 10, 17, 40, 41, 100])
def test_a_row_has_the_same_bits_wherever_it_is(K: int, dtype: np.dtype) -> None:
    logits, targets = made_rows(K, 300, 3, dtype)
    whole = call(logits, targets)

    for begin, end in [(0, 1), (5, 6), (7, 22), (8, 24), (100, 117), (299, 300)]:
        part = call(logits[begin:end], targets[begin:end])
        assert_bit_equal(whole.losses[begin:end], part.losses)
        assert_bit_equal(whole.gradient[begin:end], part.gradient)


def test_the_sum_of_many_losses_is_right_to_the_last_digit() -> None:
    logits, targets = made_rows(5, 200_000, 3, F8)

    made = call(logits, targets, sample_weight=np.random.default_rng(0).random(200_000))

    assert made.loss == math.fsum(made.losses)
