"""Whether an answer is right, judged by the truth of the tests; nothing is timed before it is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from peers import Rows, as_numpy

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import truth

# Relative and absolute tolerance before a time is believed: peers are allowed to be as inexact as they are.
TOLERANCE = {"float64": (1e-9, 1e-11), "float32": (2e-4, 2e-5), "float16": (2e-2, 2e-2), "bfloat16": (6e-2, 6e-2)}
GRADIENT = {"float64": 1e-13, "float32": 1e-6, "float16": 2e-3, "bfloat16": 2e-2}  # absolute, of the sum of the losses
SMALLEST = 1e-37  # probabilities are judged by their relative error alone


def answers(data: Rows, rows: Any = slice(None)) -> dict[str, Any]:
    """The exact answer of every function for some of the rows; the gradient is that of the sum."""
    exact, targets = truth.of_rows(data.logits[rows]), data.targets[rows]
    return {
        "softmax": exact.probabilities,
        "log_softmax": exact.log_probabilities,
        "logsumexp": exact.log_partition,
        "loss": exact.losses(targets),
        "gradient": exact.gradients(targets),
    }


def some_rows(n_rows: int, n_classes: int, elements: int = 200_000) -> npt.NDArray[np.intp]:
    """Rows to judge by: the first, the last and others between them."""
    return np.unique(np.linspace(0, n_rows - 1, max(2, min(n_rows, elements // n_classes))).astype(np.intp))


def mean_loss(logits: npt.NDArray[np.generic], targets: npt.NDArray[np.int64]) -> float:
    """Mean cross-entropy in float64, for logits too many for long double."""
    total = 0.0
    step = max(1, 4_000_000 // logits.shape[1])
    for start in range(0, len(logits), step):
        z = logits[start : start + step].astype(np.float64)
        largest = z.max(axis=-1)
        chosen = np.take_along_axis(z, targets[start : start + step, None], axis=-1)[:, 0]
        total += float((largest - chosen + np.log(np.exp(z - largest[:, None]).sum(axis=-1))).sum())
    return total / len(logits)


def check(
    what: str,
    callers: Mapping[str, Callable[[], Any]],
    wanted: Any,
    pick: Callable[[Any], Any],
    rtol: float,
    atol: float,
) -> None:
    """Raise if the part of an answer that `pick` takes is not what is wanted."""
    wanted = np.asarray(wanted, dtype=np.longdouble)
    for name, call in callers.items():
        found = np.asarray(pick(as_numpy(call()))).astype(np.float64).astype(np.longdouble)
        if found.shape != wanted.shape or not np.all(np.abs(found - wanted) <= atol + rtol * np.abs(wanted)):
            worst = float(np.max(np.abs(found - wanted))) if found.shape == wanted.shape else found.shape
            raise ArithmeticError(f"{what}: {name} is wrong, by up to {worst}")
