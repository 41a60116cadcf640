"""The same loss written in five ways, in four precisions: what is lost between formula and machine."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from softclass.functions.experiment_checks import check_choice, rows_and_targets

Float64 = npt.NDArray[np.float64]
_Keep = Callable[[Any], Any]

PRECISIONS = ("float64", "float32", "bfloat16", "float16")
VARIANTS = ("naive", "shift", "eps", "clip", "logsumexp")
EPSILON, CLIPPED = 1e-9, 1e-7  # of log(p + 1e-9), and where Keras cuts probabilities off
_LARGEST = {
    "float64": float(np.finfo(np.float64).max),
    "float32": float(np.finfo(np.float32).max),
    "bfloat16": (2 - 2.0**-7) * 2.0**127,
    "float16": float(np.finfo(np.float16).max),
}
LARGEST_EXP = {precision: math.log(largest) for precision, largest in _LARGEST.items()}


def rounded(values: Any, precision: str) -> Any:
    """
    Return numbers as a precision holds them: the nearest one, of two the one whose last bit is 0.

    Parameters
    ----------
    values : float or float64 array of any shape
        Infinities, NaN and the sign of 0 stay.
    precision : {"float64", "float32", "bfloat16", "float16"}
        bfloat16 is made from float32, as processors do it.

    Returns
    -------
    float64 array of the shape of `values`
        What is too large becomes infinite.

    Raises
    ------
    OptionError
        SC141, for another precision.

    Examples
    --------
    >>> [float(rounded(0.1, precision)) for precision in ("float32", "bfloat16", "float16")]
    [0.10000000149011612, 0.10009765625, 0.0999755859375]
    >>> float(rounded(65520.0, "float16"))
    inf
    """
    check_choice("rounded", "precision", precision, PRECISIONS)
    return _keeper(precision)(np.asarray(values, dtype=np.float64))


def _keeper(precision: str) -> _Keep:
    """Return the rounding of a precision; warnings of overflow are the caller's to silence."""
    if precision == "float64":
        return lambda values: values
    if precision == "bfloat16":
        return _bfloat16
    kind = np.float32 if precision == "float32" else np.float16

    def keep(values: Any) -> Any:
        with np.errstate(over="ignore", under="ignore"):
            return np.asarray(values, dtype=kind).astype(np.float64)

    return keep


def _bfloat16(values: Any) -> Any:
    """Return the upper half of a float32: add just under half a unit and the last bit that stays, then cut."""
    with np.errstate(over="ignore", under="ignore"):
        single = np.asarray(values, dtype=np.float32)
    bits = single.view(np.uint32).astype(np.uint64)
    cut = ((bits + np.uint64(0x7FFF) + (bits >> np.uint64(16) & np.uint64(1))) & np.uint64(0xFFFF0000)).astype(
        np.uint32
    )
    return np.where(np.isnan(single), np.float32(np.nan), cut.view(np.float32)).astype(np.float64)


def loss_variant(name: str, logits: Any, target: int, *, precision: str = "float64") -> tuple[float, Float64]:
    r"""
    Cross-entropy of one row written in one of five ways, and the gradient that automatic differentiation gives.

    Every operation is rounded to the precision, forwards and backwards; sums go from left to right.

    Parameters
    ----------
    name : {"naive", "shift", "eps", "clip", "logsumexp"}
        ``-log(exp(z) / sum(exp(z)))``; the same after subtracting the largest logit; ``-log(p + 1e-9)``; the logarithm
        of p cut off at 1e-7 and 1 - 1e-7; ``logsumexp(z) - z_t`` with the gradient :math:`p - y`.
    logits : float array of shape (n_classes,)
        Rounded to the precision first.
    target : int
        The class of the row, in [0, n_classes).
    precision : {"float64", "float32", "bfloat16", "float16"}, default "float64"
        What every intermediate number is rounded to.

    Returns
    -------
    loss : float
        In nats; infinite or NaN where this way of writing fails.
    gradient : float64 array of shape (n_classes,)
        At the logits, its numbers those of the precision.

    Raises
    ------
    OptionError, TargetError, ShapeError
        SC141, for another name or precision; SC121, SC101, for a target that is none.

    See Also
    --------
    softclass.cross_entropy_value_and_gradient : The last one, for every library, in one pass.

    Examples
    --------
    A class that trails by 25 nats: what 1e-9 leaves of the push, and what a cut leaves.

    >>> row = [0.0, 25.0] + [0.0] * 8
    >>> for name in ("logsumexp", "eps", "clip"):
    ...     loss, gradient = loss_variant(name, row, 0, precision="float32")
    ...     print(f"{name:9} loss {loss:.3f}, push {-gradient[0]:.4f}")
    logsumexp loss 25.000, push 1.0000
    eps       loss 20.709, push 0.0137
    clip      loss 16.118, push -0.0000
    """
    check_choice("loss_variant", "name", name, VARIANTS)
    check_choice("loss_variant", "precision", precision, PRECISIONS)
    array, index, _ = rows_and_targets("loss_variant", logits, target)
    keep = _keeper(precision)
    with np.errstate(all="ignore"):
        loss, gradient = _WRITTEN[name](keep(array), int(index), keep)
    return float(loss), gradient


def _sum(values: Float64, keep: _Keep) -> Any:
    total = np.float64(0)
    for value in values:
        total = keep(total + value)
    return total


def _naive(z: Float64, target: int, keep: _Keep) -> tuple[Any, Float64]:
    e = keep(np.exp(z))
    total = _sum(e, keep)
    share = keep(e[target] / total)
    back = keep(1 / share)
    slope = np.full_like(e, keep(back * keep(share / total)))  # of the loss at each exponential
    slope[target] = keep(slope[target] - keep(back / total))
    return -keep(np.log(share)), keep(slope * e)


def _shifted(z: Float64, keep: _Keep) -> tuple[Float64, Any]:
    e = keep(np.exp(keep(z - z.max())))
    total = _sum(e, keep)
    return keep(e / total), total


def _through_softmax(p: Float64, slope: Float64, keep: _Keep) -> Float64:
    mean = _sum(keep(slope * p), keep)
    return keep(p * keep(slope - mean))  # type: ignore[no-any-return]


def _with_epsilon(epsilon: float) -> Callable[[Float64, int, _Keep], tuple[Any, Float64]]:
    def written(z: Float64, target: int, keep: _Keep) -> tuple[Any, Float64]:
        p, _ = _shifted(z, keep)
        inside = keep(p[target] + keep(epsilon))
        slope = np.zeros_like(p)
        slope[target] = keep(-1 / inside)
        return -keep(np.log(inside)), _through_softmax(p, slope, keep)

    return written


def _clipped(z: Float64, target: int, keep: _Keep) -> tuple[Any, Float64]:
    p, _ = _shifted(z, keep)
    low = keep(CLIPPED)
    high = keep(1 - low)
    inside = np.clip(p[target], low, high)
    slope = np.zeros_like(p)
    slope[target] = keep(-1 / inside) if low <= p[target] <= high else 0.0
    return -keep(np.log(inside)), _through_softmax(p, slope, keep)


def _logsumexp(z: Float64, target: int, keep: _Keep) -> tuple[Any, Float64]:
    p, total = _shifted(z, keep)
    p[target] = 0.0
    p[target] = -_sum(p, keep)  # p - 1 would lose the digits of a p near 1
    return keep(keep(np.log(total)) + keep(z.max() - z[target])), p


_WRITTEN = {
    "naive": _naive,
    "shift": _with_epsilon(0.0),
    "eps": _with_epsilon(EPSILON),
    "clip": _clipped,
    "logsumexp": _logsumexp,
}
