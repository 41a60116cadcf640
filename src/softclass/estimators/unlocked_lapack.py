"""Cholesky factors and inverses by LAPACK without Python's lock.

`scipy.linalg.lapack` keeps the lock while it works, so threads that factorise wait for each other. The same functions,
as SciPy offers them to Cython, are called here through ctypes, which gives the lock back for as long as a call lasts.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import LowLevelCallable
from scipy.linalg import cython_lapack

LETTERS = {np.dtype(np.float32): "s", np.dtype(np.float64): "d"}
INTEGER = ctypes.POINTER(ctypes.c_int)


@cache
def _function(name: str) -> Any:
    capsule = LowLevelCallable.from_cython(cython_lapack, name).function
    name_of, pointer_of = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    name_of.restype, name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer_of.restype, pointer_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    address = pointer_of(capsule, name_of(capsule))
    return ctypes.CFUNCTYPE(None, ctypes.c_char_p, INTEGER, ctypes.c_void_p, INTEGER, INTEGER)(address)


def _run(name: str, matrix: npt.NDArray[Any]) -> int:
    if matrix.dtype not in LETTERS or matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"{name} takes a square matrix of float32 or float64; got {matrix.dtype} of {matrix.shape}")
    if not (matrix.flags.c_contiguous and matrix.flags.writeable):
        raise ValueError(f"{name} works in place, on a contiguous matrix that may be written")
    size, info = ctypes.c_int(len(matrix)), ctypes.c_int()
    # LAPACK counts along columns, so its upper half is the lower one here.
    least = ctypes.c_int(max(len(matrix), 1))
    _function(LETTERS[matrix.dtype] + name)(
        b"U", ctypes.byref(size), matrix.ctypes.data, ctypes.byref(least), ctypes.byref(info)
    )
    return info.value


def factorise(matrix: npt.NDArray[Any]) -> bool:
    """
    Replace the lower half of a symmetric matrix by its Cholesky factor.

    Parameters
    ----------
    matrix : float32 or float64 array of shape (n, n), contiguous
        Its lower half is read and written; what is above the diagonal stays.

    Returns
    -------
    bool
        Whether the matrix is positive definite; the lower half is half done if not.

    Raises
    ------
    ValueError
        For another shape, dtype or layout.

    Examples
    --------
    >>> matrix = np.array([[4.0, 2.0], [2.0, 5.0]])
    >>> factorise(matrix), matrix.tolist()
    (True, [[2.0, 2.0], [1.0, 2.0]])
    """
    return _run("potrf", matrix) == 0


def invert_factored(matrix: npt.NDArray[Any]) -> None:
    """
    Replace a Cholesky factor in the lower half by the lower half of the inverse of the matrix it came from.

    Parameters
    ----------
    matrix : float32 or float64 array of shape (n, n), contiguous
        As `factorise` left it; what is above the diagonal stays.

    Raises
    ------
    ValueError
        For another shape, dtype or layout.

    Examples
    --------
    >>> matrix = np.array([[2.0, 0.0], [1.0, 2.0]])
    >>> invert_factored(matrix)
    >>> matrix[1].tolist()
    [-0.125, 0.25]
    """
    _run("potri", matrix)
