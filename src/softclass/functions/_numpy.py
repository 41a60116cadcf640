"""The functions for NumPy arrays: dtypes and memory orders made ready, then the compiled kernels.

bfloat16 is the type of that name of the package ml_dtypes; the kernels take its bits as uint16.
"""

from __future__ import annotations

import math
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from softclass.functions._numpy_usual import FLOAT32, FLOAT64, INT64, LARGEST_FLOAT32
from softclass.functions._numpy_usual import usual_loss as usual_loss
from softclass.functions.checks import (
    PLAIN,
    Array,
    Axes,
    raise_bad_distribution,
    raise_bad_index,
    raise_bad_weight,
    raise_infinite_row_weights,
    raise_zero_weights,
)
from softclass.kernels import cpu

Values = npt.NDArray[np.float64]

# How far the sum of a row of target probabilities may lie from 1: float16 has steps of 1/2048 below 1.
SUM_TOLERANCE = 1e-3
SUM_TOLERANCE_HALF = 2e-2
# Products and sums of weights within these bounds neither overflow nor lose digits, for any number of rows.
TAME = (1e-130, 1e130)


# ---- softmax family
def softmax(logits: Array, axis: Axes, temperature: float, where: Any, dtype: Any, out: Array | None) -> Array:
    """See softclass.softmax."""
    if where is None and dtype is None and _is_plain(logits) and axis != () and (out is None or _is_plain(out)):
        result = np.empty_like(logits) if out is None else out
        cpu.softmax(logits, result, axis, temperature)
        return result
    return _family(cpu.softmax, logits, axis, temperature, where, dtype, out)


def log_softmax(logits: Array, axis: Axes, temperature: float, where: Any, dtype: Any, out: Array | None) -> Array:
    """See softclass.log_softmax."""
    if where is None and dtype is None and _is_plain(logits) and axis != () and (out is None or _is_plain(out)):
        result = np.empty_like(logits) if out is None else out
        cpu.log_softmax(logits, result, axis, temperature)
        return result
    return _family(cpu.log_softmax, logits, axis, temperature, where, dtype, out)


def _family(
    kernel: Any, logits: Array, axis: Axes, temperature: float, where: Any, dtype: Any, out: Array | None
) -> Array:
    source = _readable(logits)
    result = np.empty_like(source, dtype=dtype) if out is None else out
    target = _writable(result)
    if axis == ():  # a single number is a row of one class
        kernel(_bits(source).reshape(1), _bits(target).reshape(1), 0, temperature, _spread(where, (1,)))
    else:
        kernel(_bits(source), _bits(target), axis, temperature, _spread(where, source.shape))
    if target is not result:
        result[...] = target
    return result


def logsumexp(logits: Array, axis: Axes, where: Any, keepdims: bool, dtype: Any) -> Any:
    """See softclass.logsumexp."""
    if axis == logits.ndim - 1 and where is None and dtype is None and not keepdims and _is_plain(logits):
        values = np.empty(logits.shape[:-1], _loss_type(logits))
        cpu.logsumexp(logits, values, axis)
        return values if values.ndim else values[()]
    source = _readable(logits)
    if axis == ():
        source, axis = source.reshape(1), 0
    axes = (axis,) if isinstance(axis, int) else axis
    shape = tuple(length for place, length in enumerate(source.shape) if place not in axes)
    # What is rounded to half precision is rounded once, from float64.
    computed = _loss_type(source) if dtype is None or dtype == FLOAT32 else FLOAT64
    values = np.empty(shape, dtype=computed)
    cpu.logsumexp(_bits(source), values, axis, _spread(where, source.shape))
    if dtype is not None:
        values = _narrowed(values, dtype)
    if keepdims and logits.ndim:
        values = values.reshape([1 if place in axes else length for place, length in enumerate(source.shape)])
    return values[()]  # makes a number of an array without axes


def _spread(where: Any, shape: tuple[int, ...]) -> Array | None:
    return None if where is None else np.broadcast_to(where, shape)


# ---- losses
def cross_entropy(
    logits: Array,
    targets: Array,
    axis: int,
    sample_weight: Array | None,
    class_weight: Array | None,
    ignore_index: int | None,
    label_smoothing: float,
    reduction: str,
) -> Any:
    """See softclass.cross_entropy."""
    source, name = _readable(logits), "cross_entropy"
    labels, of_sample, of_class, scale, tolerance = _made_ready(
        name, source.shape, targets, axis, sample_weight, class_weight, ignore_index, reduction
    )
    losses = np.empty(_without(source.shape, axis)) if reduction == "none" else None
    found = cpu.cross_entropy(
        _bits(source),
        labels,
        axis,
        of_sample,
        of_class,
        ignore_index,
        label_smoothing,
        scale,
        tolerance,
        losses,
        None,
    )
    if found[3]:
        _raise_bad_target(name, found, targets, source.shape[axis], axis)
    return _reduced(found, losses, reduction, _loss_type(source))


def cross_entropy_value_and_gradient(
    logits: Array,
    targets: Array,
    axis: int,
    sample_weight: Array | None,
    class_weight: Array | None,
    ignore_index: int | None,
    label_smoothing: float,
    reduction: str,
    out: Array | None,
) -> tuple[Any, Array]:
    """See softclass.cross_entropy_value_and_gradient."""
    source, name = _readable(logits), "cross_entropy_value_and_gradient"
    labels, of_sample, of_class, scale, tolerance = _made_ready(
        name, source.shape, targets, axis, sample_weight, class_weight, ignore_index, reduction
    )
    if out is not None and np.may_share_memory(out, source):  # an error must come before the logits are overwritten
        _row_weights(name, targets, source.shape[axis], axis, of_sample, of_class, ignore_index)
    losses = np.empty(_without(source.shape, axis)) if reduction == "none" else None
    gradient = np.empty_like(source) if out is None else out
    target = _writable(gradient)
    found = cpu.cross_entropy_and_gradient(
        _bits(source),
        labels,
        axis,
        of_sample,
        of_class,
        ignore_index,
        label_smoothing,
        scale,
        tolerance,
        reduction == "mean",
        losses,
        _bits(target),
    )
    if found[3]:
        _raise_bad_target(name, found, targets, source.shape[axis], axis)
    loss = _reduced(found, losses, reduction, _loss_type(source))
    if target is not gradient:
        gradient[...] = target
    return loss, gradient


def linear_cross_entropy(
    features: Array,
    weight: Array,
    targets: Array,
    bias: Array | None,
    sample_weight: Array | None,
    class_weight: Array | None,
    ignore_index: int | None,
    label_smoothing: float,
    reduction: str,
) -> Any:
    """See softclass.linear_cross_entropy."""
    options = (sample_weight, class_weight, ignore_index, label_smoothing, reduction)
    return _linear("linear_cross_entropy", features, weight, targets, bias, *options, ())[0]


def linear_cross_entropy_value_and_gradient(
    features: Array,
    weight: Array,
    targets: Array,
    bias: Array | None,
    sample_weight: Array | None,
    class_weight: Array | None,
    ignore_index: int | None,
    label_smoothing: float,
    reduction: str,
    wrt: tuple[str, ...],
) -> tuple[Any, Array | None, Array | None, Array | None]:
    """See softclass.linear_cross_entropy_value_and_gradient."""
    name = "linear_cross_entropy_value_and_gradient"
    options = (sample_weight, class_weight, ignore_index, label_smoothing, reduction)
    return _linear(name, features, weight, targets, bias, *options, wrt)


def _linear(
    name: str,
    features: Array,
    weight: Array,
    targets: Array,
    bias: Array | None,
    sample_weight: Array | None,
    class_weight: Array | None,
    ignore_index: int | None,
    label_smoothing: float,
    reduction: str,
    wrt: tuple[str, ...],
) -> tuple[Any, Array | None, Array | None, Array | None]:
    rows, columns = _readable(features), _readable(weight)
    shape = (rows.shape[0], columns.shape[0])
    labels, of_sample, of_class, scale, tolerance = _made_ready(
        name, shape, targets, 1, sample_weight, class_weight, ignore_index, reduction
    )
    losses = np.empty(shape[0]) if reduction == "none" else None
    by_weight = np.empty(columns.shape, dtype=rows.dtype) if "weight" in wrt else None
    by_bias = np.empty(shape[1], dtype=rows.dtype) if "bias" in wrt else None
    by_features = np.empty(rows.shape, dtype=rows.dtype) if "features" in wrt else None
    found = cpu.linear_cross_entropy(
        _bits(rows),
        _bits(columns),
        None if bias is None else _bits(_readable(bias)),
        labels,
        of_sample,
        of_class,
        ignore_index,
        label_smoothing,
        scale,
        tolerance,
        reduction == "mean",
        losses,
        None if by_weight is None else _bits(by_weight),
        None if by_bias is None else _bits(by_bias),
        None if by_features is None else _bits(by_features),
    )
    if found[3]:
        _raise_bad_target(name, found, targets, shape[1], 1)
    loss = _reduced(found, losses, reduction, _loss_type(rows))
    return loss, by_weight, by_bias, by_features


def linear_cross_entropy_hvp(
    features: Array,
    weight: Array,
    targets: Array,
    weight_tangent: Array,
    bias: Array | None,
    bias_tangent: Array | None,
    sample_weight: Array | None,
    class_weight: Array | None,
    ignore_index: int | None,
    label_smoothing: float,
    reduction: str,
) -> tuple[Array, Array | None]:
    """See softclass.linear_cross_entropy_hvp; `label_smoothing` changes no Hessian."""
    name = "linear_cross_entropy_hvp"
    rows, columns = _readable(features), _readable(weight)
    shape = (rows.shape[0], columns.shape[0])
    labels, of_sample, of_class, scale, tolerance = _made_ready(
        name, shape, targets, 1, sample_weight, class_weight, ignore_index, reduction
    )
    of_weight = np.empty(columns.shape, dtype=rows.dtype)
    of_bias = None if bias is None else np.empty(shape[1], dtype=rows.dtype)
    found = cpu.linear_cross_entropy_hvp(
        _bits(rows),
        _bits(columns),
        None if bias is None else _bits(_readable(bias)),
        _bits(_readable(weight_tangent)),
        None if bias_tangent is None else _bits(_readable(bias_tangent)),
        labels,
        of_sample,
        of_class,
        ignore_index,
        scale,
        tolerance,
        reduction == "mean",
        _bits(of_weight),
        None if of_bias is None else _bits(of_bias),
    )
    if found[3]:
        _raise_bad_target(name, found, targets, shape[1], 1)
    return of_weight, of_bias


# Sum of the losses, sum of the row weights, first row whose target is none or -1, how many there are.
_Found = tuple[float, float, int, int]
# Targets and weights as the kernels take them: targets (int64 in C order, or floats of the shape of the logits), sample
# weights, class weights, a power of two for all weights, tolerance of the sum of a row of floats.
_Ready = tuple[Array, Values | None, Values | None, float, float]


def _made_ready(
    name: str,
    shape: tuple[int, ...],
    targets: Array,
    axis: int,
    sample_weight: Array | None,
    class_weight: Array | None,
    ignore_index: int | None,
    reduction: str,
) -> _Ready:
    """Return targets and weights as the kernels take them; raise SC142 for bad weights."""
    tolerance = SUM_TOLERANCE_HALF if targets.itemsize == 2 else SUM_TOLERANCE
    if sample_weight is None and class_weight is None:
        return _as_kernels_take(targets), None, None, 1.0, tolerance
    of_sample, is_tame = _weights(name, "sample_weight", sample_weight)
    of_class, is_also_tame = _weights(name, "class_weight", class_weight)
    scale = 1.0
    if not (is_tame and is_also_tame):
        found = _row_weights(name, targets, shape[axis], axis, of_sample, of_class, ignore_index)
        scale = _power_of_two(found) if reduction == "mean" else 1.0
    return _as_kernels_take(targets), of_sample, of_class, scale, tolerance


def _as_kernels_take(targets: Array) -> Array:
    if targets.dtype is INT64 and targets.flags.c_contiguous and targets.flags.aligned:
        return targets
    kind = targets.dtype.kind
    if kind not in "iu":
        return _bits(_readable(targets))
    if kind == "u" and targets.itemsize == 8:
        targets = np.minimum(targets, np.uint64(2**63 - 1))  # no class either way, and not a negative number
    return np.require(targets, dtype=INT64, requirements=["C", "A"])


def _weights(name: str, argument: str, weight: Array | None) -> tuple[Values | None, bool]:
    """Return weights as float64, and whether their products and sums are sure to be normal numbers."""
    if weight is None:
        return None, True
    values = np.require(weight, dtype=np.float64, requirements=["C", "A"])
    if values.size == 0:
        return values, True
    low, high = values.min(), values.max()
    if not (low >= 0 and high < math.inf):
        is_bad = ~((values >= 0) & (values < math.inf)).ravel()
        first = int(is_bad.argmax())
        raise_bad_weight(name, argument, values.shape, first, float(values.ravel()[first]), int(is_bad.sum()))
    if high == 0:
        raise_zero_weights(name, argument, values.size)
    if low == 0:
        low = values.min(where=values > 0, initial=math.inf)
    return values, bool(TAME[0] < low and high < TAME[1])


def _power_of_two(row_weights: Values) -> float:
    """Return what brings the sum of the weights back into range; only their ratio counts in a mean."""
    with np.errstate(over="ignore"):
        total = float(row_weights.sum())
    largest = float(row_weights.max(initial=0.0))
    if largest == 0 or (1e-290 <= total < math.inf):
        return 1.0
    # Not beyond what a double holds: 2^1000 lifts the smallest number of all to 2^-74.
    return math.ldexp(1.0, min(1000, -math.frexp(largest)[1]))


def _row_weights(
    name: str,
    targets: Array,
    n_classes: int,
    axis: int,
    sample_weight: Values | None,
    class_weight: Values | None,
    ignore_index: int | None,
) -> Values:
    """Return the weights of the rows, in the shape of the logits without `axis`; raise SC121, SC122 or SC142."""
    is_soft = targets.dtype.kind not in "iu"
    rows = np.moveaxis(targets, axis, -1).astype(np.float64) if is_soft else targets
    shape = rows.shape[:-1] if is_soft else rows.shape
    of_sample = np.ones(shape) if sample_weight is None else sample_weight
    is_there = of_sample > 0
    if is_soft:
        tolerance = SUM_TOLERANCE_HALF if targets.itemsize == 2 else SUM_TOLERANCE
        with np.errstate(invalid="ignore"):
            is_legal = (rows >= 0).all(axis=-1) & (np.abs(rows.sum(axis=-1) - 1) <= tolerance)
        used = np.where((is_there & is_legal)[..., None], rows, 0.0)
        of_class = used.sum(axis=-1) > 0 if class_weight is None else used @ class_weight
    else:
        if ignore_index is not None:
            is_there = is_there & (rows != ignore_index)
        is_legal = (rows >= 0) & (rows < n_classes)
        index = np.where(is_there & is_legal, rows, 0).astype(np.int64)
        of_class = np.ones(shape) if class_weight is None else class_weight[index]
    is_bad = (is_there & ~is_legal).ravel()
    if is_bad.any():
        bad = int(is_bad.argmax()), int(is_bad.sum())
        _raise_bad_target(name, (0.0, 0.0, *bad), targets, n_classes, axis)
    with np.errstate(over="ignore"):
        weights = np.where(is_there, of_sample * of_class, 0.0)
    if not np.isfinite(weights).all():
        raise_infinite_row_weights(name, int(np.isinf(weights).sum()), weights.size)
    return weights


def _raise_bad_target(name: str, found: _Found, targets: Array, n_classes: int, axis: int) -> NoReturn:
    """Raise SC121 or SC122 for the first row whose target is none."""
    _, _, first_bad, n_bad = found
    if targets.dtype.kind in "iu":
        raise_bad_index(name, targets, n_classes, first_bad, n_bad)
    moved = np.moveaxis(targets, axis, -1)
    raise_bad_distribution(name, moved.reshape(-1, n_classes), moved.shape[:-1], first_bad, n_bad)


def _reduced(found: _Found, losses: Values | None, reduction: str, dtype: np.dtype[Any]) -> Any:
    """Return what a kernel found, in the type that losses have."""
    if losses is not None:
        return _narrowed(losses, dtype)[()]
    total, weight = found[0], found[1]
    if reduction == "mean":
        total = total / weight if weight > 0 else math.nan
    if dtype is FLOAT64:
        return np.float64(total)
    return np.float32(total) if abs(total) < LARGEST_FLOAT32 else _narrowed(np.asarray(total), FLOAT32)[()]


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return shape[:axis] + shape[axis + 1 :]


# ---- derivatives
def softmax_jacobian(probabilities: Array, axis: int) -> Array:
    """See softclass.softmax_jacobian."""
    source = _readable(probabilities)
    rows = np.moveaxis(source, axis, -1).astype(FLOAT64)
    jacobian = -rows[..., :, None] * rows[..., None, :]
    diagonal = np.arange(rows.shape[-1])
    jacobian[..., diagonal, diagonal] = 0.0
    # The entry of a sure class is minus the sum of the others: 1 - p would be 0.
    jacobian[..., diagonal, diagonal] = -jacobian.sum(axis=-1)
    return _narrowed(jacobian, source.dtype)


def softmax_jvp(probabilities: Array, tangent: Array, axis: int) -> Array:
    """See softclass.softmax_jvp; the Jacobian is symmetric."""
    return softmax_vjp(probabilities, tangent, axis)


def softmax_vjp(probabilities: Array, cotangent: Array, axis: int) -> Array:
    """See softclass.softmax_vjp."""
    source = _readable(probabilities)
    result = np.empty_like(source)
    cpu.softmax_vjp(_bits(source), _bits(_readable(cotangent)), _bits(result), axis, 1.0)
    return result


def cross_entropy_hvp(
    logits: Array,
    targets: Array,
    tangent: Array,
    axis: int,
    sample_weight: Array | None,
    class_weight: Array | None,
    ignore_index: int | None,
    label_smoothing: float,
    reduction: str,
) -> Array:
    """See softclass.cross_entropy_hvp."""
    source, name = _readable(logits), "cross_entropy_hvp"
    _, of_sample, of_class, scale, _ = _made_ready(
        name, source.shape, targets, axis, sample_weight, class_weight, ignore_index, reduction
    )
    n_classes = source.shape[axis]
    weights = _row_weights(name, targets, n_classes, axis, of_sample, of_class, ignore_index)
    if reduction == "mean":
        weights = weights * scale
        total = weights.sum()
        weights = weights / total if total > 0 else np.zeros_like(weights)
    wide = np.result_type(_loss_type(source), FLOAT32)
    probabilities = softmax(source, axis, 1.0, None, wide, None)
    product = softmax_vjp(probabilities, _readable(tangent).astype(wide, copy=False), axis)
    if targets.dtype.kind not in "iu":  # the gradient is weight * (sum(q) p - q), with a sum of nearly 1
        with np.errstate(invalid="ignore", over="ignore"):
            total = targets.sum(axis=axis, dtype=np.float64)
            weights = np.where(weights > 0, weights * ((1 - label_smoothing) * total + label_smoothing), 0.0)
    spread = np.expand_dims(weights, axis)
    with np.errstate(invalid="ignore"):
        product = np.where(spread > 0, product * spread, 0.0)
    return _narrowed(product, source.dtype)


def log_partition_state(logits: Array, axis: int) -> tuple[Values, npt.NDArray[np.int64], Values]:
    """Return maximum, its first index, and the sum of the exponentials of the others; see softclass.LogPartition."""
    source = _readable(logits)
    shape = source.shape[:axis] + source.shape[axis + 1 :]
    if source.shape[axis] == 0:
        return np.full(shape, -math.inf), np.full(shape, -1), np.full(shape, -1.0)
    states = np.empty((math.prod(shape), 2))
    any_class = np.zeros(shape, dtype=np.int64)
    cpu.cross_entropy(_bits(source), any_class, axis, None, None, None, 0.0, 1.0, SUM_TOLERANCE, None, states)
    maximum, rest = states[:, 0].reshape(shape), states[:, 1].reshape(shape)
    first = np.asarray(np.argmax(source, axis=axis), dtype=np.int64)
    if np.isinf(maximum).any():  # how many equal infinities there are, less one; a NaN stays
        n_largest = (source == np.expand_dims(maximum, axis)).sum(axis=axis)
        is_limit = np.isinf(maximum) & ~np.isnan(source).any(axis=axis)
        rest = np.where(is_limit, n_largest - 1.0, rest)
    return maximum, first, rest


# ---- types and memory
def _is_plain(array: Array) -> bool:
    """Whether the kernels take the array as it is."""
    return array.dtype in PLAIN and array.flags.aligned


def _readable(array: Array) -> Array:
    """Return an array of floats as the kernels read it; a copy only of integers, foreign bytes and odd places."""
    if _is_plain(array):
        return array
    dtype = array.dtype
    if dtype.kind in "iu":
        return array.astype(np.float64, order="K")
    return np.require(array, dtype=dtype.newbyteorder("="), requirements=["A"])


def _writable(array: Array) -> Array:
    """Return the array itself, or one of its shape where the kernels cannot write into it."""
    if array.dtype.isnative and array.flags.aligned:
        return array
    return np.empty_like(array, dtype=array.dtype.newbyteorder("="))


def _bits(array: Array) -> Array:
    """Return the array, bfloat16 as uint16."""
    return array if array.dtype in PLAIN else array.view(np.uint16)


def _loss_type(logits: Array) -> np.dtype[Any]:
    """Return the type of losses and of logsumexp."""
    return FLOAT64 if logits.dtype is FLOAT64 or logits.dtype == FLOAT64 else FLOAT32


def _narrowed(values: Array, dtype: npt.DTypeLike) -> Array:
    """Return the values in a narrower type: what is too large becomes infinite, without a warning."""
    if values.dtype == dtype:
        return values
    with np.errstate(over="ignore", under="ignore"):
        return values.astype(dtype)
