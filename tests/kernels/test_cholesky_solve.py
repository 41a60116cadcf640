"""Solves with Cholesky factors, against exact ones, on every instruction set."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from softclass.kernels import _cpu, cpu

SIZES = [1, 3, 4, 15, 16, 17, 33, 130]


@pytest.fixture(autouse=True)
def _target_is_restored() -> Iterator[None]:
    before = _cpu.target()
    yield
    _cpu.set_target(before)


def made(n: int, dtype: type, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return three factors, scales, two right sides of each, and the exact solutions."""
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((3, 2 * n + 5, n))
    factors = np.linalg.cholesky(np.einsum("kri,krj->kij", root, root) / n + np.eye(n)).astype(dtype)
    scale, right = rng.random((3, n)) + 0.5, rng.standard_normal((2, 3, n))
    wide = factors.astype(np.float64)
    matrices = wide @ wide.transpose(0, 2, 1) * scale[:, :, None] * scale[:, None, :]
    return factors, scale, right, np.linalg.solve(matrices[None], right[..., None])[..., 0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", SIZES)
def test_solutions_are_exact_to_rounding_and_the_same_on_every_target(n, dtype):
    factors, scale, right, exact = made(n, dtype)
    above = np.triu(np.full((n, n), np.nan, dtype), 1)  # never read
    found = {}
    for target in _cpu.targets():
        _cpu.set_target(target)
        found[target] = np.full_like(right, np.nan)
        cpu.cholesky_solve(factors + above, scale, right, found[target])

    error = np.abs(found["plain"] - exact).max() / np.abs(exact).max()
    assert error < 20 * np.finfo(dtype).eps
    for solution in found.values():
        np.testing.assert_array_equal(solution, found["plain"])


def test_no_bit_depends_on_the_number_of_threads():
    factors, scale, right, _ = made(40, np.float32)
    one, two = np.empty_like(right), np.empty_like(right)
    cpu.cholesky_solve(factors, scale, right, one, 1)
    cpu.cholesky_solve(factors, scale, right, two, 2)

    np.testing.assert_array_equal(one, two)


def test_a_single_right_side_and_the_place_of_another():
    factors, scale, right, exact = made(20, np.float64)
    found = np.empty_like(right[0])
    cpu.cholesky_solve(factors, scale, right[0], found)

    np.testing.assert_allclose(found, exact[0], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"factors": np.zeros((2, 3, 4), np.float32)}, "factors must be"),
        ({"factors": np.zeros((2, 3, 3), np.float32)[:, ::-1]}, "factors must be contiguous"),
        ({"scale": np.zeros((2, 4))}, "scale must be"),
        ({"right": np.zeros((2, 4))}, "right must be"),
        ({"solution": np.zeros((1, 2, 3))[:, :1]}, "solution must"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change, message):
    given = {
        "factors": np.zeros((2, 3, 3), np.float32),
        "scale": np.ones((2, 3)),
        "right": np.zeros((2, 3)),
        "solution": np.zeros((2, 3)),
    }

    with pytest.raises(ValueError, match=message):
        cpu.cholesky_solve(**{**given, **change})
    with pytest.raises(TypeError, match="float64"):
        cpu.cholesky_solve(**{**given, "scale": np.ones((2, 3), np.float32)})
