"""The words of the kernels that are not compiled in their new form yet, by the former ones: N rows of K, contiguous."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from softclass.kernels import _cpu

old: Any = _cpu


def _values(array: Any) -> Any:
    if array.dtype == np.uint16:
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array.astype(np.float32) if array.dtype == np.float16 else array


def _put(out: Any, values: Any) -> None:
    with np.errstate(all="ignore"):
        if out.dtype == np.uint16:
            bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
            rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
            out[...] = np.where(np.isnan(values), 0x7FC0, rounded)
        else:
            out[...] = values


def _rows(array: Any, axes: Any) -> tuple[Any, tuple[int, ...]]:
    axes = (axes,) if isinstance(axes, int) else axes
    order = (*(place for place in range(array.ndim) if place not in axes), *axes)
    length = math.prod(array.shape[place] for place in axes)
    moved = array.transpose(order)
    n_rows = math.prod(array.shape[place] for place in order[: array.ndim - len(axes)])
    return np.ascontiguousarray(moved.reshape(n_rows, length)), order


def _back(rows: Any, shape: tuple[int, ...], order: tuple[int, ...]) -> Any:
    return rows.reshape([shape[place] for place in order]).transpose(np.argsort(order))


softmax, log_softmax, logsumexp = old.softmax, old.log_softmax, old.logsumexp


def softmax_vjp(probabilities: Any, cotangent: Any, out: Any, axis: int, factor: float, threads: int = 0) -> None:
    """See the contract of the kernels."""
    p, g = _values(probabilities).astype(np.float64), _values(cotangent).astype(np.float64)
    if p.shape[axis]:
        w = g - np.take_along_axis(g, p.argmax(axis=axis, keepdims=True), axis=axis)
        _put(out, factor * p * (w - (p * w).sum(axis=axis, keepdims=True)))


def cross_entropy(
    logits: Any,
    targets: Any,
    axis: int,
    sample_weight: Any,
    class_weight: Any,
    ignore_index: Any,
    label_smoothing: float,
    weight_scale: float,
    tolerance: float,
    losses: Any,
    states: Any,
    threads: int = 0,
) -> Any:
    """See the contract of the kernels."""
    options = (sample_weight, class_weight, ignore_index, label_smoothing, weight_scale, tolerance)
    return _loss(_values(logits), targets, axis, *options, False, losses, states, None)


def cross_entropy_and_gradient(
    logits: Any,
    targets: Any,
    axis: int,
    sample_weight: Any,
    class_weight: Any,
    ignore_index: Any,
    label_smoothing: float,
    weight_scale: float,
    tolerance: float,
    mean: bool,
    losses: Any,
    gradient: Any,
    threads: int = 0,
) -> Any:
    """See the contract of the kernels."""
    options = (sample_weight, class_weight, ignore_index, label_smoothing, weight_scale, tolerance)
    return _loss(_values(logits), targets, axis, *options, mean, losses, None, gradient)


def _loss(
    logits: Any,
    targets: Any,
    axis: int,
    sample_weight: Any,
    class_weight: Any,
    ignore_index: Any,
    label_smoothing: float,
    weight_scale: float,
    tolerance: float,
    mean: bool,
    losses: Any,
    states: Any,
    gradient: Any,
) -> Any:
    rows, order = _rows(logits, axis)
    weights, values = np.empty(rows.shape[0]), np.empty(rows.shape[0])
    of_sample = None if sample_weight is None else sample_weight.reshape(-1)
    if targets.dtype == np.int64:
        labels = targets.reshape(-1)
        if ignore_index is not None:
            of_sample = np.where(labels == ignore_index, 0.0, 1.0 if of_sample is None else of_sample)
        kernel, weigh, first = old.index_cross_entropy, old.index_row_weights, rows.shape[1]
        total, first_bad, n_bad = weigh(labels, first, of_sample, class_weight, weights)
    else:
        labels = _rows(_values(targets), axis)[0]
        kernel = old.soft_cross_entropy
        total, first_bad, n_bad = old.soft_row_weights(labels, tolerance, of_sample, class_weight, weights)
    weights *= weight_scale
    total = float(weights.sum())
    result = None if gradient is None else np.empty_like(rows)
    kernel(rows, labels, weights, label_smoothing, total if mean and total > 0 else 1.0, values, result)
    if losses is not None:
        losses[...] = values.reshape(losses.shape)
    if states is not None:
        largest = rows.max(axis=1, initial=-math.inf).astype(np.float64)
        with np.errstate(all="ignore"):
            shifted = np.exp(rows - largest[:, None])
            shifted[np.arange(len(rows)), rows.argmax(axis=1)] = 0.0
            counts = (rows == largest[:, None]).sum(axis=1) - 1.0
            rest = np.where(np.isinf(largest), counts, shifted.sum(axis=1))
        states[:, 0], states[:, 1] = largest, np.where(np.isnan(rows).any(axis=1), math.nan, rest)
    if gradient is not None:
        _put(gradient, _back(result, logits.shape, order))
    return old.sum(values), total, first_bad, n_bad


def _logits(features: Any, weight: Any, bias: Any) -> Any:
    with np.errstate(all="ignore"):
        logits = _values(features) @ _values(weight).T
        return logits if bias is None else logits + _values(bias)


def linear_cross_entropy(
    features: Any,
    weight: Any,
    bias: Any,
    targets: Any,
    sample_weight: Any,
    class_weight: Any,
    ignore_index: Any,
    label_smoothing: float,
    weight_scale: float,
    tolerance: float,
    mean: bool,
    losses: Any,
    weight_gradient: Any,
    bias_gradient: Any,
    features_gradient: Any,
    threads: int = 0,
) -> Any:
    """See the contract of the kernels."""
    logits = _logits(features, weight, bias)
    gradient = np.empty_like(logits)
    options = (sample_weight, class_weight, ignore_index, label_smoothing, weight_scale, tolerance)
    found = cross_entropy_and_gradient(logits, targets, 1, *options, mean, losses, gradient)
    x = np.where((gradient != 0).any(axis=1)[:, None], _values(features), 0)
    if weight_gradient is not None:
        _put(weight_gradient, gradient.T @ x)
    if bias_gradient is not None:
        _put(bias_gradient, gradient.sum(axis=0))
    if features_gradient is not None:
        _put(features_gradient, gradient @ _values(weight))
    return found


def linear_cross_entropy_hvp(
    features: Any,
    weight: Any,
    bias: Any,
    weight_tangent: Any,
    bias_tangent: Any,
    targets: Any,
    sample_weight: Any,
    class_weight: Any,
    ignore_index: Any,
    weight_scale: float,
    tolerance: float,
    mean: bool,
    weight_product: Any,
    bias_product: Any,
    threads: int = 0,
) -> Any:
    """See the contract of the kernels."""
    n_rows = features.shape[0]
    logits, u = _logits(features, weight, bias), _logits(features, weight_tangent, bias_tangent)
    options = (sample_weight, class_weight, ignore_index, 0.0, weight_scale, tolerance)
    found = cross_entropy(logits, targets, 1, *options, None, None)
    zeros, weights = np.zeros_like(logits), np.empty(n_rows)  # the loss of equal logits is weight * log(K)
    cross_entropy(zeros, targets, 1, *options, weights, None)
    k = logits.shape[1]
    weights = weights / math.log(k) if k > 1 else np.zeros(n_rows)
    weights = weights / found[1] if mean and found[1] > 0 else weights
    p, product = np.empty_like(logits), np.empty_like(logits)
    _cpu.softmax(logits, p, 1, 1.0)
    softmax_vjp(p, u, product, 1, 1.0)
    product = np.where(weights[:, None] != 0, product * weights[:, None], 0.0).astype(logits.dtype)
    x = np.where(weights[:, None] != 0, _values(features), 0)
    _put(weight_product, product.T @ x)
    if bias_product is not None:
        _put(bias_product, product.sum(axis=0))
    return found


def cross_entropy_gradient(
    logits: Any,
    targets: Any,
    axis: int,
    sample_weight: Any,
    class_weight: Any,
    ignore_index: int | None,
    label_smoothing: float,
    weight_scale: float,
    states: Any,
    upstream: Any,
    divisor: float,
    gradient: Any,
    threads: int = 0,
) -> None:
    """Write upstream times the gradient of the sum, divided by `divisor`; the states are not used yet."""
    exact = np.empty(logits.shape, dtype=np.float64)
    source = _values(logits).astype(np.float64)
    given = (source, targets, axis, sample_weight, class_weight, ignore_index, label_smoothing, weight_scale, 1.0)
    cross_entropy_and_gradient(*given, False, None, exact, threads)
    factor = np.asarray(upstream) / divisor
    _put(gradient, exact * (np.expand_dims(factor, axis) if factor.ndim else factor))


for _name in ("softmax_vjp", "linear_cross_entropy", "linear_cross_entropy_hvp"):
    if hasattr(_cpu, _name):
        globals()[_name] = getattr(_cpu, _name)
