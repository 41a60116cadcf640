"""Logits to probabilities, to their logarithms, and to the logarithm of the sum that divides them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from softclass._typing import Probabilities
from softclass.functions.checks import Array, as_logits, as_temperature
from softclass.functions.rows import from_rows, to_rows
from softclass.kernels import cpu


def softmax(logits: npt.ArrayLike, *, axis: int = -1, temperature: float = 1.0) -> Probabilities:
    r"""
    Softmax of the logits: the probabilities of the classes.

    With temperature :math:`T`: :math:`p_k = e^{z_k / T} / \sum_j e^{z_j / T}`.

    Parameters
    ----------
    logits : array of shape (..., n_classes, ...)
        In float16, float32, float64 or integers, or nested lists. ``-inf`` is a class that cannot be. Any strides,
        read-only or not; never written.
    axis : int, default -1
        The axis of the classes.
    temperature : float, default 1.0
        Finite and above 0. Above 1 the probabilities come closer together, below 1 they move apart.

    Returns
    -------
    float array of the shape of `logits`
        In the dtype of `logits`, float64 for integers; sums to 1 along `axis`. A row with NaN, with several ``+inf`` or
        with ``-inf`` only has no probabilities: all NaN. One ``+inf`` takes all probability.

    Raises
    ------
    DTypeError, InputError, ShapeError, OptionError
        SC111, SC113, if `logits` are no array of numbers; SC102, if they have no axis; SC141, if `axis` or
        `temperature` is out of range.

    See Also
    --------
    log_softmax : The logarithms, also where the probabilities underflow.
    cross_entropy : A loss from logits; never take the logarithm of probabilities.

    Notes
    -----
    Memory: the result; a copy of `logits` unless they are contiguous along `axis`.
    Numerics: the maximum is subtracted before the temperature is applied, so nothing overflows. float32 results are
    within 3 units in the last place, float64 within 4, float16 are float32 results rounded.

    Examples
    --------
    >>> from softclass import softmax
    >>> softmax([[2.0, 1.0, 0.1]]).round(4)
    array([[0.659 , 0.2424, 0.0986]])
    >>> softmax([[1e4, 1e4, -1e4]])
    array([[0.5, 0.5, 0. ]])
    """
    array, class_axis = as_logits("softmax", logits, axis)
    divisor = as_temperature("softmax", temperature)
    rows = to_rows(array, class_axis, compute_type(array))
    return from_rows(cpu.softmax(rows, divisor), array, class_axis, element_type(array))


def log_softmax(logits: npt.ArrayLike, *, axis: int = -1, temperature: float = 1.0) -> Array:
    r"""
    Logarithm of the softmax of the logits: log probabilities, in nats.

    With temperature :math:`T`: :math:`\log p_k = z_k / T - \log \sum_j e^{z_j / T}`.

    Parameters
    ----------
    logits : array of shape (..., n_classes, ...)
        In float16, float32, float64 or integers, or nested lists. Any strides, read-only or not; never written.
    axis : int, default -1
        The axis of the classes.
    temperature : float, default 1.0
        Finite and above 0.

    Returns
    -------
    float array of the shape of `logits`
        In the dtype of `logits`, float64 for integers; at most 0. ``-inf`` logits stay ``-inf``; a row with NaN, with
        several ``+inf`` or with ``-inf`` only is all NaN.

    Raises
    ------
    DTypeError, InputError, ShapeError, OptionError
        As for `softmax`.

    See Also
    --------
    softmax : The probabilities themselves.

    Notes
    -----
    Numerics: the logarithm of the largest probability is ``-log1p`` of the sum of the others, so it does not become 0
    when that probability rounds to 1. float32 results are within 1.5 units in the last place, float64 within 2.

    Examples
    --------
    >>> from softclass import log_softmax
    >>> log_softmax([2.0, 1.0, 0.1]).round(4)
    array([-0.417, -1.417, -2.317])
    >>> float(log_softmax([0.0, -20.0, -20.0])[0])
    -4.122307236...e-09
    """
    array, class_axis = as_logits("log_softmax", logits, axis)
    divisor = as_temperature("log_softmax", temperature)
    rows = to_rows(array, class_axis, compute_type(array))
    return from_rows(cpu.log_softmax(rows, divisor), array, class_axis, element_type(array))


def logsumexp(logits: npt.ArrayLike, *, axis: int = -1, keepdims: bool = False) -> Any:
    r"""
    Logarithm of the sum of the exponentials, in nats: the log partition function.

    :math:`\log Z = \log \sum_k e^{z_k}`.

    Parameters
    ----------
    logits : array of shape (..., n_classes, ...)
        In float16, float32, float64 or integers, or nested lists. Any strides, read-only or not; never written.
    axis : int, default -1
        The axis to sum over.
    keepdims : bool, default False
        Keep that axis, with length 1.

    Returns
    -------
    float or float array of the shape of `logits` without `axis`
        In float32 for float16 and float32, else float64. ``-inf`` for a row without classes or with ``-inf`` only,
        ``+inf`` for a row with ``+inf``, NaN for a row with NaN.

    Raises
    ------
    DTypeError, InputError, ShapeError, OptionError
        SC111, SC113, if `logits` are no array of numbers; SC102, if they have no axis; SC141, if `axis` is out of
        range.

    See Also
    --------
    log_softmax : ``logits - logsumexp(logits)``, without its cancellation.

    Notes
    -----
    Numerics: the sum of maximum and ``log1p`` of the others is formed in float64. float32 results are within 1 unit in
    the last place, float64 within 1.5, or within one rounding of 1 where the two parts cancel.

    Examples
    --------
    >>> from softclass import logsumexp
    >>> round(float(logsumexp([2.0, 1.0, 0.1])), 4)
    2.417
    >>> logsumexp([[1e4, 1e4], [-1e4, -1e4]]).round(4)
    array([10000.6931, -9999.3069])
    """
    array, class_axis = as_logits("logsumexp", logits, axis)
    values = cpu.logsumexp(to_rows(array, class_axis, compute_type(array)))
    shape = list(array.shape)
    shape[class_axis : class_axis + 1] = [1] if keepdims else []
    return values.reshape(shape)[()]  # [()] makes a number of an array without axes


def compute_type(logits: Array) -> type[np.floating[Any]]:
    """Return the type in which the kernels compute; also the type of sums and losses."""
    return np.float32 if logits.dtype.kind == "f" and logits.dtype.itemsize <= 4 else np.float64


def element_type(logits: Array) -> np.dtype[Any]:
    """Return the type of results that have one element a logit."""
    return logits.dtype.newbyteorder("=") if logits.dtype.kind == "f" else np.dtype(np.float64)
