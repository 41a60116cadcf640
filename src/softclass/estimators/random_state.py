"""scikit-learn's word for a seed."""

from __future__ import annotations

from numbers import Integral
from typing import Any


def seed_of(random_state: Any) -> int:
    """
    Return the seed that scikit-learn's `random_state` stands for.

    Parameters
    ----------
    random_state : int, RandomState instance or None
        None means 0: fits repeat.

    Returns
    -------
    int
        Not negative.

    Examples
    --------
    >>> seed_of(None), seed_of(7)
    (0, 7)
    """
    if random_state is None:
        return 0
    return int(random_state) if isinstance(random_state, Integral) else int(random_state.randint(2**31 - 1))
