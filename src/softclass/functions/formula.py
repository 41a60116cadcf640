"""What the functions of `reference` are made of, in array-API terms: a row and its sum, weights, losses, gradients.

K classes lie along `axis`; numbers of a row keep that axis with length 1. "Wide" numbers are float64 where the library
and the device have it.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from softclass.functions.namespaces import (
    arange,
    constant,
    default_float,
    holds_integers,
    index_type,
    namespace_of,
    wide_float,
)


class Row(NamedTuple):
    """Rows of logits, seen from their maximum."""

    m: Any  # maximum, NaN if there is a NaN
    k: Any  # its first index
    is_first: Any  # bool, full shape: True at k
    d: Any  # (z - m) / T, rounded; full shape
    error: Any  # what rounding took from d
    e: Any  # exp(d + error)
    rest: Any  # wide: sum of e over all classes but k


class Layout(NamedTuple):
    """Where the class axes are and how to bring results back."""

    axis: int
    back: tuple[int, ...] | None  # permutation back, after a reshape to `moved`; None: nothing was moved
    moved: tuple[int, ...]
    kept: tuple[int, ...]  # shape of a result with one number a row, class axes of length 1
    dropped: tuple[int, ...]  # the same without class axes


class Weighed(NamedTuple):
    """Targets and the weights of the rows; all but `shares` without class axis."""

    omega: Any  # wide; 0 where the row is not there, NaN where the index is no class
    is_live: Any  # bool: omega != 0
    index: Any  # index type, legal everywhere; None for soft targets
    shares: Any  # wide, the shape of the logits, finite in rows that are not there; None for class indices


# ---- types and shapes


def computed(array: Any, dtype: Any) -> Any:
    """Return the array in the type it is computed in: float64 for float64, else float32; integers as the default."""
    xp = namespace_of(array)
    own = default_float(xp) if holds_integers(xp, array) else array.dtype
    is_double = xp.float64 in (own, dtype)
    return xp.astype(array, xp.float64 if is_double else xp.float32)


def result_type(array: Any, dtype: Any) -> Any:
    """Return the type of probabilities and gradients."""
    xp = namespace_of(array)
    if dtype is not None:
        return dtype
    return default_float(xp) if holds_integers(xp, array) else array.dtype


def sum_type(array: Any, dtype: Any) -> Any:
    """Return the type of logsumexp and of losses: at least float32."""
    xp = namespace_of(array)
    own = result_type(array, dtype)
    return own if dtype is not None or own == xp.float64 else xp.float32


def prepared(xp: Any, logits: Any, axis: Any, where: Any, dtype: Any) -> tuple[Any, Any, Layout]:
    """Return logits as computed, `where`, and the layout: one class axis, whatever `axis` names."""
    z = computed(logits, dtype)
    is_in = None if where is None else xp.broadcast_to(where, z.shape)
    axes = tuple(range(z.ndim)) if axis is None else axis
    if isinstance(axes, tuple):
        axes = tuple(a % z.ndim for a in axes)
        others = tuple(a for a in range(z.ndim) if a not in axes)
        order = others + axes
        back = tuple(order.index(a) for a in range(z.ndim))
        moved = tuple(z.shape[a] for a in order)
        n_classes = 1
        for a in axes:
            n_classes *= z.shape[a]
        joined = tuple(z.shape[a] for a in others) + (n_classes,)  # noqa: RUF005 - torch.compile reads this one
        layout = Layout(len(others), back, moved, *_row_shapes(z.shape, axes))
        z = xp.reshape(xp.permute_dims(z, order), joined)
        is_in = None if is_in is None else xp.reshape(xp.permute_dims(is_in, order), joined)
    else:
        layout = Layout(axes % z.ndim, None, (), *_row_shapes(z.shape, (axes % z.ndim,)))
    if is_in is not None:
        z = xp.where(is_in, z, -math.inf)
    return z, is_in, layout


def _row_shapes(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    kept = tuple(1 if a in axes else n for a, n in enumerate(shape))
    return kept, tuple(n for a, n in enumerate(shape) if a not in axes)


def restored(xp: Any, values: Any, dtype: Any, layout: Layout, out: Any) -> Any:
    """Return the values in the shape of the logits and in their type, or in `out`."""
    if layout.back is not None:
        values = xp.permute_dims(xp.reshape(values, layout.moved), layout.back)
    values = xp.astype(values, dtype)
    if out is None:
        return values
    out[...] = values
    return out


# ---- one row


def row(xp: Any, z: Any, axis: int, temperature: float, index: Any = None) -> Row:
    """Return maximum, differences from it, their exponentials and the sum of these.

    With `index` (keepdims), the shift follows class k where the target is k: the slope of the loss there is then
    -rest / (1 + rest), a sum of one sign, and not p - 1.
    """
    fixed = constant(xp, z)
    m = xp.max(fixed, axis=axis, keepdims=True)
    k = xp.argmax(fixed, axis=axis, keepdims=True)
    is_first = class_numbers(xp, z, axis) == k
    is_edge = xp.isinf(m)
    origin = xp.where(is_edge, 0.0, m)
    if index is not None:
        followed = xp.where((index == k) & ~is_edge, xp.take_along_axis(z, index, axis=axis), 0.0)
        origin = origin + (followed - constant(xp, followed))
    d, error = _difference(xp, z, origin, temperature)
    # One +inf takes all; of two, or of -inf only, nothing is known: NaN, and a slope of NaN.
    is_largest = fixed == m
    n_largest = xp.sum(xp.astype(is_largest, m.dtype), axis=axis, keepdims=True)
    takes_all = (m == math.inf) & (n_largest == 1)
    limit = xp.where(is_largest, 0.0, xp.full_like(fixed, -math.inf))
    d = xp.where(takes_all, limit, d * xp.where(is_edge & ~takes_all, xp.full_like(m, math.nan), 1.0))
    error = xp.where(is_edge, 0.0, error)
    e = xp.exp(d)
    e = e + e * error  # exp(error) to first order: |error| is half a spacing of d
    rest = xp.sum(xp.where(is_first, e - 1, e), axis=axis, keepdims=True, dtype=wide_float(xp, z))
    return Row(m, k, is_first, d, error, e, rest)


def class_numbers(xp: Any, z: Any, axis: int) -> Any:
    """Return 0 ... K-1 along the axis."""
    shape = [1] * z.ndim
    shape[axis] = z.shape[axis]
    return xp.reshape(arange(xp, z.shape[axis], z), tuple(shape))


def _difference(xp: Any, z: Any, origin: Any, temperature: float) -> tuple[Any, Any]:
    """Return (z - origin) / temperature and what rounding took from it; the second is 0 where it has no meaning."""
    wide = wide_float(xp, z)
    if temperature != 1 and z.dtype != wide:
        quotient = (xp.astype(z, wide) - xp.astype(origin, wide)) / temperature
        d = xp.astype(quotient, z.dtype)
        fixed = constant(xp, quotient)
        kept = xp.where(xp.isfinite(d), xp.astype(constant(xp, d), wide), fixed)
        return d, xp.astype(xp.where(xp.isfinite(kept), fixed, 0.0) - xp.where(xp.isfinite(kept), kept, 0.0), z.dtype)
    d = z - origin
    fixed, base = constant(xp, z), constant(xp, origin)
    fixed = xp.where(xp.isfinite(fixed), fixed, base)
    rounded = fixed - base
    b = rounded - fixed
    error = (fixed - (rounded - b)) - (base + b)  # two-sum: z - origin = rounded + error
    if temperature == 1:
        return d, _finite(xp, error)
    return _divided(xp, d, error, z, origin, temperature)


def _divided(xp: Any, d: Any, error: Any, z: Any, origin: Any, temperature: float) -> tuple[Any, Any]:
    """Return (d + error) / temperature as a pair, where no wider type is to be had."""
    is_single = z.dtype == xp.float32
    high = float(np.float32(temperature)) if is_single else temperature
    halves = (z * 0.5 - origin * 0.5) / (high * 0.5)  # z - origin may overflow where the quotient does not
    is_far = xp.isinf(d) & xp.isfinite(z)
    quotient = xp.where(is_far, halves, d / high)
    fixed = constant(xp, xp.where(xp.isfinite(quotient), quotient, 0.0))
    split = 4097.0 if is_single else 134217729.0  # Veltkamp: both halves of both factors multiply exactly
    q_high = fixed * split - (fixed * split - fixed)
    t_high = (
        float(np.float32(high * split) - (np.float32(high * split) - np.float32(high)))
        if is_single
        else (high * split - (high * split - high))
    )
    q_low, t_low = fixed - q_high, high - t_high
    product = fixed * high
    lost = ((q_high * t_high - product) + q_high * t_low + q_low * t_high) + q_low * t_low
    remainder = ((constant(xp, d) - product) - lost) + error - fixed * (temperature - high)
    return quotient, xp.where(is_far, 0.0, _finite(xp, remainder / high))


def _finite(xp: Any, error: Any) -> Any:
    return xp.where(xp.isfinite(error), error, 0.0)


# ---- targets, weights, losses


def weighed(
    xp: Any,
    like: Any,
    n_classes: int,
    targets: Any,
    axis: int,
    sample_weight: Any,
    class_weight: Any,
    ignore_index: int | None,
) -> Weighed:
    """Return the targets and omega = sample weight times class weight; what a row of weight 0 holds is not used."""
    wide = wide_float(xp, like)
    w = None if class_weight is None else xp.astype(class_weight, wide)
    if holds_integers(xp, targets):
        return _weighed_index(xp, wide, n_classes, targets, sample_weight, w, ignore_index)
    shares = xp.astype(targets, wide)
    omega = xp.sum(xp.zeros_like(shares), axis=axis) + 1 if sample_weight is None else xp.astype(sample_weight, wide)
    shares = xp.where(xp.expand_dims(omega, axis=axis) != 0, shares, 0.0)
    if w is not None:
        shape = [1] * shares.ndim
        shape[axis] = n_classes
        omega = omega * xp.sum(shares * xp.reshape(w, tuple(shape)), axis=axis)
    return Weighed(omega, omega != 0, None, shares)


def _weighed_index(
    xp: Any, wide: Any, n_classes: int, targets: Any, sample_weight: Any, w: Any, ignore_index: int | None
) -> Weighed:
    index = xp.astype(targets, index_type(xp))  # beyond its range: negative, so no class either
    is_class = (index >= 0) & (index < n_classes)
    omega = xp.astype(xp.ones_like(index), wide) if sample_weight is None else xp.astype(sample_weight, wide)
    if ignore_index is not None:
        omega = xp.where(index == ignore_index, 0.0, omega)
        is_class = is_class | (index == ignore_index)
    is_class = is_class | (omega == 0)
    index = xp.where(is_class & (index >= 0) & (index < n_classes), index, xp.zeros_like(index))
    if w is not None and n_classes > 0:
        of_class = xp.reshape(xp.take(w, xp.reshape(index, (-1,)), axis=0), index.shape)
        omega = xp.where(is_class & (omega != 0), omega * of_class, omega)
    omega = xp.where(is_class, omega, math.nan)
    return Weighed(omega, omega != 0, index, None)


def live(xp: Any, array: Any, targets: Weighed, axis: int) -> Any:
    """Return the array as computed, with zeros in rows that are not there: nothing in them is ever read."""
    return xp.where(xp.expand_dims(targets.is_live, axis=axis), computed(array, None), 0.0)


def losses(xp: Any, z: Any, targets: Weighed, axis: int, label_smoothing: float) -> Any:
    """Return omega times loss of every row, wide."""
    if targets.index is None:
        r = row(xp, z, axis, 1.0)
        q = _smoothed(targets.shares, label_smoothing, z.shape[axis])
        distance = xp.sum(_weighted(xp, q, _exact(xp, r)), axis=axis, keepdims=True)
        loss = xp.log1p(r.rest) * xp.sum(q, axis=axis, keepdims=True) - distance
    else:
        index = xp.expand_dims(targets.index, axis=axis)
        r = row(xp, z, axis, 1.0, index)
        d = xp.astype(xp.take_along_axis(r.d, index, axis=axis), r.rest.dtype)
        error = xp.astype(xp.take_along_axis(r.error, index, axis=axis), r.rest.dtype)
        if label_smoothing == 0:
            loss = (xp.log1p(r.rest) - d) - error
        else:
            all_classes = xp.sum(_exact(xp, r), axis=axis, keepdims=True)
            share = label_smoothing / z.shape[axis]
            loss = xp.log1p(r.rest) - ((1 - label_smoothing) * (d + error) + share * all_classes)
    loss = xp.squeeze(loss, axis=axis)
    return xp.where(targets.is_live, targets.omega * loss, 0.0)


def _exact(xp: Any, r: Row) -> Any:
    return xp.astype(r.d, r.rest.dtype) + xp.astype(r.error, r.rest.dtype)


def _smoothed(q: Any, label_smoothing: float, n_classes: int) -> Any:
    return q if label_smoothing == 0 else (1 - label_smoothing) * q + label_smoothing / n_classes


def _weighted(xp: Any, q: Any, d: Any) -> Any:
    """Return q d, where 0 times -inf is 0."""
    is_used = q != 0
    return xp.where(is_used, q * xp.where(is_used, d, 0.0), 0.0)


def reduced(xp: Any, values: Any, omega: Any, reduction: str, dtype: Any) -> Any:
    """Put the losses of the rows together; the mean over no weight at all is NaN, with slope 0."""
    if reduction == "none":
        return xp.astype(values, dtype)
    total = xp.sum(values)
    if reduction == "mean":
        weight = xp.sum(_counted(xp, omega))
        total = total / xp.where(weight == 0, 1.0, weight) + xp.where(weight == 0, math.nan, 0.0 * weight)
    return xp.astype(total, dtype)


def _counted(xp: Any, omega: Any) -> Any:
    """Return the weights that a mean divides by: a row whose index is no class spoils itself, not the others."""
    return xp.where(xp.isnan(omega), 1.0, omega)


# ---- gradients


def scale(xp: Any, targets: Weighed, reduction: str) -> Any:
    """Return what the gradient of every row is multiplied by: omega, for the mean divided by its sum."""
    omega = targets.omega
    if reduction != "mean":
        return omega
    weight = xp.sum(_counted(xp, omega))
    return omega / xp.where(weight == 0, 1.0, weight)


def gradient(xp: Any, z: Any, targets: Weighed, axis: int, label_smoothing: float, factor: Any) -> Any:
    """Return factor times (sum(q) p - q), wide; exactly 0 in rows that are not there."""
    r = row(xp, z, axis, 1.0)
    n_classes = z.shape[axis]
    q = targets.shares
    if targets.index is not None:
        is_target = class_numbers(xp, z, axis) == xp.expand_dims(targets.index, axis=axis)
        q = xp.astype(is_target, r.rest.dtype)
    q = _smoothed(q, label_smoothing, n_classes)
    total = xp.sum(q, axis=axis, keepdims=True)
    p = xp.astype(r.e, r.rest.dtype) / (1 + r.rest)
    # At k, 1 - p is rest / (1 + rest): where p is near q, this keeps what their difference would lose.
    others = xp.sum(xp.where(r.is_first, 0.0, q), axis=axis, keepdims=True)
    without_first = r.rest - xp.sum(xp.where(r.is_first, r.e - 1, 0.0), axis=axis, keepdims=True)  # the slope of k
    at_first = others - total * (without_first / (1 + r.rest))
    slope = xp.where(r.is_first & (others < 0.5 * total), at_first, total * p - q)
    slope = xp.expand_dims(factor, axis=axis) * slope
    return xp.where(xp.expand_dims(targets.is_live, axis=axis), slope, 0.0)


def loss_hvp(xp: Any, z: Any, u: Any, targets: Weighed, axis: int, label_smoothing: float, reduction: str) -> Any:
    """Return the derivative of the gradient in the direction u, wide."""
    r = row(xp, z, axis, 1.0)
    p = xp.astype(r.e, r.rest.dtype) / (1 + r.rest)
    factor = scale(xp, targets, reduction)
    if targets.index is None:
        q = _smoothed(targets.shares, label_smoothing, z.shape[axis])
        factor = factor * xp.sum(q, axis=axis)
    product = centred_product(xp, p, xp.astype(u, p.dtype), axis) * xp.expand_dims(factor, axis=axis)
    return xp.where(xp.expand_dims(targets.is_live, axis=axis), product, 0.0)


def centred_product(xp: Any, p: Any, v: Any, axis: int) -> Any:
    """Return p (v - <p, v>), with v measured from its value at the largest p: nothing cancels there."""
    if p.shape[axis] == 0:
        return p
    k = xp.argmax(p, axis=axis, keepdims=True)
    w = v - xp.take_along_axis(v, k, axis=axis)
    mean = xp.sum(p * w, axis=axis, keepdims=True, dtype=wide_float(xp, p))
    return p * (w - xp.astype(mean, p.dtype))


# ---- linear logits


def linear(xp: Any, features: Any, weight: Any, bias: Any) -> Any:
    """Return features @ weight.T + bias, in float32 or wider."""
    logits = xp.matmul(computed(features, None), xp.matrix_transpose(computed(weight, None)))
    return logits if bias is None else logits + computed(bias, None)


def rows_times(xp: Any, values: Any, features: Any) -> Any:
    """Return values.T @ features over all rows: (N, K) and (N, D) to (K, D)."""
    flat = xp.reshape(values, (-1, values.shape[-1]))
    return xp.matmul(xp.matrix_transpose(flat), xp.reshape(features, (-1, features.shape[-1])))


def sum_of_rows(xp: Any, values: Any) -> Any:
    """Return the sum over all axes but the last."""
    return xp.sum(xp.reshape(values, (-1, values.shape[-1])), axis=0)
