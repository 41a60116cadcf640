"""Bound the threads of the linear algebra underneath NumPy and SciPy."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from threadpoolctl import threadpool_limits


def limited_threads(threads: int) -> AbstractContextManager[Any]:
    """
    Return a context in which every pool of BLAS and OpenMP has at most so many threads.

    Examples
    --------
    >>> with limited_threads(1):
    ...     pass
    """
    context: AbstractContextManager[Any] = threadpool_limits(limits=threads)
    return context
