"""Factors and inverses without Python's lock are those of NumPy, and refuse what they cannot take."""

import threading

import numpy as np
import pytest

from softclass.estimators.unlocked_lapack import factorise, invert_factored


def positive(size, dtype):
    root = np.random.default_rng(size).standard_normal((2 * size + 3, size))
    return (root.T @ root / size).astype(dtype)


@pytest.mark.parametrize("size", [0, 1, 5, 130])
@pytest.mark.parametrize(("dtype", "share"), [(np.float32, 1e-4), (np.float64, 1e-12)])
def test_factor_and_inverse_are_numpys(size, dtype, share):
    matrix = positive(size, dtype)
    upper = np.triu(matrix, 1)
    worked = matrix.copy()

    assert factorise(worked)

    np.testing.assert_allclose(np.tril(worked), np.linalg.cholesky(matrix.astype(np.float64)), rtol=share, atol=share)
    np.testing.assert_array_equal(np.triu(worked, 1), upper)
    invert_factored(worked)
    exact = np.linalg.inv(matrix.astype(np.float64))
    np.testing.assert_allclose(np.tril(worked), np.tril(exact), rtol=share, atol=share * np.abs(exact).max(initial=1))
    np.testing.assert_array_equal(np.triu(worked, 1), upper)


def test_a_matrix_that_is_not_positive_is_told():
    assert not factorise(np.diag([1.0, -1.0]))


@pytest.mark.parametrize(
    "matrix",
    [np.eye(3)[:2], np.ones(3), np.eye(3, dtype=np.int64), np.eye(4)[::2, ::2], np.broadcast_to(1.0, (1, 1))],
    ids=["oblong", "vector", "integers", "strided", "read-only"],
)
def test_other_arrays_are_refused(matrix):
    for function in (factorise, invert_factored):
        with pytest.raises(ValueError, match=r"square matrix|contiguous matrix"):
            function(matrix)


def test_python_runs_meanwhile():
    """While one thread factorises, for a tenth of a second or more, another gets to run Python many times."""
    matrix, done, turns = positive(2500, np.float64), threading.Event(), 0

    def work():
        factorise(matrix)
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    while not done.wait(1e-4):
        turns += 1
    thread.join()
    assert turns > 5
