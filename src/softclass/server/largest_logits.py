"""Many rows of many classes for the page: the largest logits of each row, and what the others add up to."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from softclass.functions.softmax import logsumexp

KEPT = 20
ROWS_AT_ONCE = 4096


def largest_logits(logits: npt.NDArray[np.float32], targets: npt.NDArray[np.int32], kept: int = KEPT) -> dict[str, Any]:
    """
    Return the largest logits of each row, the logsumexp of all, and the logit of the row's own class.

    With these the page has the log loss, the label and its probability of each row exactly, and at another temperature
    nearly: it takes the classes that are left out for equal ones.

    Parameters
    ----------
    logits : float32 array of shape (n, n_classes)
        More than `kept` classes.
    targets : int32 array of shape (n,)
        Class numbers, -1 for a class unknown to the model.
    kept : int, default 20
        How many logits of a row stay.

    Returns
    -------
    dict
        ``logits`` (n, kept), falling, of equal ones the lower class first; ``top`` with their ``columns`` (n, kept),
        ``lse`` (n,) and ``own`` (n,), 0 for an unknown class.

    Examples
    --------
    >>> found = largest_logits(np.array([[0, 3, 1, 2]], dtype=np.float32), np.array([0], dtype=np.int32), kept=2)
    >>> found["logits"].tolist(), found["top"]["columns"].tolist(), found["top"]["own"].tolist()
    ([[3.0, 2.0]], [[1, 3]], [0.0])
    """
    n = len(targets)
    values = np.empty((n, kept), dtype=np.float32)
    columns = np.empty((n, kept), dtype=np.int32)
    for start in range(0, n, ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        found = np.sort(np.argpartition(-logits[rows], kept - 1, axis=1)[:, :kept], axis=1)
        order = np.argsort(-np.take_along_axis(logits[rows], found, axis=1), axis=1, kind="stable")
        columns[rows] = np.take_along_axis(found, order, axis=1)
        values[rows] = np.take_along_axis(logits[rows], columns[rows].astype(np.intp), axis=1)
    own = np.where(targets >= 0, logits[np.arange(n), np.maximum(targets, 0)], np.float32(0))
    lse = np.concatenate(
        [
            np.asarray(logsumexp(logits[start : start + ROWS_AT_ONCE].astype(np.float64)))
            for start in range(0, n, ROWS_AT_ONCE)
        ]
    )
    return {"logits": values, "top": {"columns": columns, "lse": lse, "own": own.astype(np.float32)}}
