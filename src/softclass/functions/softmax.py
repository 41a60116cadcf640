"""Logits to probabilities, to their logarithms, and to the logarithm of the sum that divides them."""

from __future__ import annotations

from typing import Any

from softclass.functions.checks import (
    as_axes,
    as_flag,
    as_floats,
    as_result_type,
    as_temperature,
    as_where,
    check_out,
)
from softclass.functions.libraries import twin_of

ONE = 1.0  # the very object tells a call that leaves the temperature out, without a look at the value


def softmax(
    logits: Any,
    *,
    axis: int | tuple[int, ...] | None = -1,
    temperature: float = ONE,
    where: Any = None,
    dtype: Any = None,
    out: Any = None,
) -> Any:
    r"""
    Softmax of the logits: the probabilities of the classes.

    With temperature :math:`T`: :math:`p_k = e^{z_k / T} / \sum_j e^{z_j / T}`.

    Parameters
    ----------
    logits : array of shape (..., n_classes, ...)
        In float16, bfloat16, float32, float64 or integers; NumPy (also nested lists), PyTorch, JAX or any array-API
        library. ``-inf`` is a class that cannot be. Any strides, read-only or not; never written.
    axis : int, tuple of int or None, default -1
        The axis of the classes. Several axes count as one, None stands for all.
    temperature : float, default 1.0
        Finite and above 0. Above 1 the probabilities come closer together, below 1 they move apart.
    where : bool array, optional
        Broadcastable to `logits`. False is a class that is absent: probability 0, no influence on the others.
    dtype : dtype, optional
        The type of the result: float16, bfloat16, float32 or float64; what is computed is never below float32.
    out : array of the shape and dtype of the result, optional
        Where the result is written; it may be `logits`. NumPy, and PyTorch where no gradient is wanted.

    Returns
    -------
    float array of the shape of `logits`
        In `dtype`, else in that of `logits`, for integers the default float of the library (NumPy: float64). Sums to 1
        along `axis`. A row with NaN, with several ``+inf`` or with ``-inf`` only has no probabilities: all NaN. One
        ``+inf`` takes all probability. A row of which every class is absent is all 0.

    Raises
    ------
    DTypeError, InputError, ShapeError, OptionError
        SC111, SC113, if an argument is no array of its type; SC112, if arrays of several libraries or devices are
        mixed; SC101, if shapes disagree; SC102, if `logits` have no axis; SC141, if an option is out of range.

    See Also
    --------
    log_softmax : The logarithms, also where the probabilities underflow.
    cross_entropy : A loss from logits; never take the logarithm of probabilities.

    Notes
    -----
    Memory: the result. Gradient: :math:`p \odot (g - \langle p, g \rangle) / T` for a cotangent :math:`g`, see
    `softmax_vjp`. PyTorch and JAX differentiate to any order; `temperature` has no derivative.

    Numerics: the maximum is subtracted before the temperature is applied, so nothing overflows, and what that
    subtraction rounds away is put back. float32 and float64 results are within 2.5 units in the last place, float16 and
    bfloat16 are float32 results rounded. A row of ``-inf`` only has no limit, so it is NaN.

    Examples
    --------
    >>> from softclass import softmax
    >>> softmax([[2.0, 1.0, 0.1]]).round(4)
    array([[0.659 , 0.2424, 0.0986]])
    >>> softmax([[1e4, 1e4, -1e4]])
    array([[0.5, 0.5, 0. ]])
    >>> softmax([2.0, 1.0, 0.1], where=[True, True, False]).round(4)
    array([0.7311, 0.2689, 0.    ])
    """
    array = as_floats("softmax", "logits", logits)
    axes = as_axes("softmax", axis, array)
    if (
        type(temperature) is not float
        or temperature != 1.0
        or where is not None
        or dtype is not None
        or out is not None
    ):
        temperature, where, dtype = _options("softmax", array, temperature, where, dtype, out)
    return twin_of(array).softmax(array, axes, temperature, where, dtype, out)


def log_softmax(
    logits: Any,
    *,
    axis: int | tuple[int, ...] | None = -1,
    temperature: float = ONE,
    where: Any = None,
    dtype: Any = None,
    out: Any = None,
) -> Any:
    r"""
    Logarithm of the softmax of the logits: log probabilities, in nats.

    With temperature :math:`T`: :math:`\log p_k = z_k / T - \log \sum_j e^{z_j / T}`.

    Parameters
    ----------
    logits : array of shape (..., n_classes, ...)
        As for `softmax`.
    axis : int, tuple of int or None, default -1
        The axis of the classes. Several axes count as one, None stands for all.
    temperature : float, default 1.0
        Finite and above 0.
    where : bool array, optional
        Broadcastable to `logits`. False is a class that is absent: ``-inf``, no influence on the others.
    dtype : dtype, optional
        The type of the result: float16, bfloat16, float32 or float64; what is computed is never below float32.
    out : array of the shape and dtype of the result, optional
        Where the result is written; it may be `logits`. NumPy, and PyTorch where no gradient is wanted.

    Returns
    -------
    float array of the shape of `logits`
        In `dtype`, else in that of `logits`, for integers the default float of the library (NumPy: float64); at most 0.
        ``-inf`` logits stay ``-inf``; a row with NaN, with several ``+inf`` or with ``-inf`` only is all NaN; a row of
        which every class is absent is all ``-inf``.

    Raises
    ------
    DTypeError, InputError, ShapeError, OptionError
        As for `softmax`.

    See Also
    --------
    softmax : The probabilities themselves.

    Notes
    -----
    Memory: the result. Gradient: :math:`(g - p \sum_k g_k) / T` for a cotangent :math:`g`.

    Numerics: the logarithm of the largest probability is ``-log1p`` of the sum of the others, so it does not become 0
    when that probability rounds to 1. float32 and float64 results are within 1.5 units in the last place.

    Examples
    --------
    >>> from softclass import log_softmax
    >>> log_softmax([2.0, 1.0, 0.1]).round(4)
    array([-0.417, -1.417, -2.317])
    >>> float(log_softmax([0.0, -20.0, -20.0])[0])
    -4.122307236...e-09
    """
    array = as_floats("log_softmax", "logits", logits)
    axes = as_axes("log_softmax", axis, array)
    if (
        type(temperature) is not float
        or temperature != 1.0
        or where is not None
        or dtype is not None
        or out is not None
    ):
        temperature, where, dtype = _options("log_softmax", array, temperature, where, dtype, out)
    return twin_of(array).log_softmax(array, axes, temperature, where, dtype, out)


def _options(name: str, logits: Any, temperature: Any, where: Any, dtype: Any, out: Any) -> tuple[float, Any, Any]:
    """Return temperature, where and dtype as the twins take them, and check `out`."""
    temperature = temperature if temperature is ONE else as_temperature(name, temperature)
    where = None if where is None else as_where(name, where, logits)
    dtype = None if dtype is None else as_result_type(name, dtype, logits)
    if out is not None:
        check_out(name, out, logits, dtype)
    return temperature, where, dtype


def logsumexp(
    logits: Any,
    *,
    axis: int | tuple[int, ...] | None = -1,
    where: Any = None,
    keepdims: bool = False,
    dtype: Any = None,
) -> Any:
    r"""
    Logarithm of the sum of the exponentials, in nats: the log partition function.

    :math:`\log Z = \log \sum_k e^{z_k}`.

    Parameters
    ----------
    logits : array of shape (..., n_classes, ...)
        As for `softmax`.
    axis : int, tuple of int or None, default -1
        The axis to sum over, several, or all.
    where : bool array, optional
        Broadcastable to `logits`. False is a class that is absent from the sum.
    keepdims : bool, default False
        Keep the axes of the sum, with length 1.
    dtype : dtype, optional
        The type of the result: float16, bfloat16, float32 or float64; what is computed is never below float32.

    Returns
    -------
    float or float array of the shape of `logits` without `axis`
        In `dtype`, else in float32 for float16, bfloat16 and float32, float64 for float64, the default float of the
        library for integers. ``-inf`` for a row without classes or with ``-inf`` only, ``+inf`` for a row with
        ``+inf``, NaN for a row with NaN.

    Raises
    ------
    DTypeError, InputError, ShapeError, OptionError
        As for `softmax`.

    See Also
    --------
    log_softmax : ``logits - logsumexp(logits)``, without its cancellation.
    LogPartition : The same number in a form that can be merged.

    Notes
    -----
    Memory: the result; the logits are read once. Gradient: the softmax.

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
    name = "logsumexp"
    array = as_floats(name, "logits", logits)
    axes = as_axes(name, axis, array)
    if where is not None or dtype is not None or keepdims is not False:
        where = None if where is None else as_where(name, where, array)
        dtype = None if dtype is None else as_result_type(name, dtype, array)
        keepdims = as_flag(name, "keepdims", keepdims)
    return twin_of(array).logsumexp(array, axes, where, keepdims, dtype)
