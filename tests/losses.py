"""Calls of the kernels of the loss, rows to call them with, and what they should give."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from asserts import assert_bit_equal
from softclass.kernels import _cpu
from truth import of_rows

F2, BF, F4, F8 = np.dtype("f2"), np.dtype(ml_dtypes.bfloat16), np.dtype("f4"), np.dtype("f8")
NAN, INF = math.nan, math.inf


class Made(NamedTuple):
    """What a call returned and wrote."""

    loss: float
    weight: float
    first_bad: int
    n_bad: int
    losses: np.ndarray
    gradient: np.ndarray


def plain(array: np.ndarray) -> np.ndarray:
    """Return what the compiled module takes: the bits of bfloat16."""
    return array.view(np.uint16) if array.dtype == BF else array


def empty_like(logits: np.ndarray, fill: float = 7.0) -> np.ndarray:
    """Return memory of the same strides, or of C order where elements share memory."""
    made = np.empty_like(logits) if 0 not in logits.strides else np.empty(logits.shape, logits.dtype)
    made[...] = fill
    return made


def call(
    logits: np.ndarray, targets: np.ndarray, axis: int = -1, *, gradient: np.ndarray | None = None, **options: Any
) -> Made:
    """Run value and gradient; the value alone must give the same bits."""
    axis %= logits.ndim
    shape = logits.shape[:axis] + logits.shape[axis + 1 :]
    option = {"sample_weight": None, "class_weight": None, "ignore_index": None, "label_smoothing": 0.0, **options}
    scale, mean, threads = option.pop("weight_scale", 1.0), option.pop("mean", False), option.pop("threads", 0)
    common = (plain(logits), plain(targets), axis, *option.values(), scale, 1e-3)
    alone, losses, states = np.full(shape, 7.0), np.full(shape, 7.0), np.full((*shape, 2), 7.0)
    value = _cpu.cross_entropy(*common, alone, states, threads)
    made = empty_like(logits) if gradient is None else gradient
    result = _cpu.cross_entropy_and_gradient(*common, mean, losses, plain(made), threads)
    assert_bit_equal(losses, alone)
    assert_bit_equal(np.array(result), np.array(value))
    return Made(*result, losses, made)


def exact(
    logits: np.ndarray, targets: np.ndarray, label_smoothing: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return losses and gradients of rows of weight 1, and what the error of a gradient is measured by."""
    rows, K = of_rows(logits), logits.shape[-1]
    q = (
        (np.arange(K) == targets[..., None]).astype(np.longdouble)
        if targets.dtype.kind == "i"
        else targets.astype(np.longdouble)
    )
    q = (1 - np.longdouble(label_smoothing)) * q + np.longdouble(label_smoothing) / K
    total = q.sum(axis=-1, keepdims=True)
    losses = -np.where(q == 0, 0, q * rows.log_probabilities).sum(axis=-1)
    gradients = total * rows.probabilities - q
    labels = rows.labels[..., None]
    others = total - np.take_along_axis(q, labels, -1)
    at_label = others - total * np.take_along_axis(rows.complements, labels, -1)
    near = others < total / 2
    np.put_along_axis(gradients, labels, np.where(near, at_label, np.take_along_axis(gradients, labels, -1)), -1)
    size = np.maximum(total * rows.probabilities, q)
    size_at = np.where(near, np.maximum(others, total * np.take_along_axis(rows.complements, labels, -1)), 0)
    np.put_along_axis(size, labels, np.where(near, size_at, np.take_along_axis(size, labels, -1)), -1)
    return losses, gradients, size


def made_rows(K: int, N: int, scale: float, dtype: np.dtype, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return logits and class indices; every third target is the largest logit, some rows have ties."""
    rng = np.random.default_rng([seed, K, N, int(10 * scale)])
    logits = (rng.standard_normal((N, K)) * scale).astype(dtype)
    targets = rng.integers(0, K, N)
    targets[::3] = logits[::3].argmax(axis=-1)
    logits[1::5, 0] = logits[1::5, K - 1]
    return logits, targets


def made_shares(K: int, N: int, dtype: np.dtype, seed: int = 0) -> np.ndarray:
    """Return distributions, some with zeros."""
    rng = np.random.default_rng([seed, K, N])
    q = rng.random((N, K)) ** 3 * (rng.random((N, K)) < 0.7)
    q[:, 0] += 0.01
    return (q / q.sum(axis=-1, keepdims=True)).astype(dtype)


def omega_of(targets: np.ndarray, options: dict[str, Any]) -> np.ndarray:
    """Return the row weights of class indices or distributions."""
    omega = np.ones(targets.shape[0]) if options.get("sample_weight") is None else options["sample_weight"].copy()
    omega = omega * options.get("weight_scale", 1.0)
    if options.get("ignore_index") is not None:
        omega[targets == options["ignore_index"]] = 0
    if (w := options.get("class_weight")) is not None:
        omega = omega * (w[targets] if targets.dtype.kind == "i" else (targets.astype(F8) * w).sum(axis=-1))
    return omega


def options_of(which: str, K: int, N: int) -> dict[str, Any]:
    """Return options by the letters of `which`."""
    rng = np.random.default_rng([K, N])
    sample = rng.random(N) * (rng.random(N) < 0.7)
    return {
        **({"sample_weight": sample} if "s" in which else {}),
        **({"class_weight": rng.integers(0, 3, K) / 2 + (np.arange(K) == 0)} if "c" in which else {}),
        **({"ignore_index": min(1, K - 1)} if "i" in which else {}),
        **({"label_smoothing": 0.2} if "l" in which else {}),
        **({"weight_scale": 0.25} if "w" in which else {}),
    }
