"""The state of a logsumexp: what is known of some classes, in a form that merges with what is known of others."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from softclass._arrays import own_dtype
from softclass.functions.checks import as_axis, as_companion, as_logits, check_mergeable, check_shape, result_type_name
from softclass.functions.libraries import twin_of
from softclass.functions.namespaces import namespace_of


@dataclass(frozen=True, eq=False)
class LogPartition:
    r"""
    Logarithm of a sum of exponentials, in parts: states of disjoint classes merge into the state of all of them.

    A state holds, for every row of logits, the maximum :math:`m`, its first index, and :math:`s = \sum_{i \ne k}
    e^{z_i - m}` over the other classes; then :math:`\log Z = m + \log(1 + s)`. Streams, many machines and blocks of
    classes need nothing else, and nothing cancels or overflows on the way.

    Parameters
    ----------
    maximum : float array of shape (...)
        The largest logit of every row, ``-inf`` where there is no class.
    first : int array of shape (...)
        Its first index, -1 where there is no class.
    rest : float array of shape (...)
        The sum of ``exp(z - maximum)`` over the other classes; -1 where there is no class, NaN where there was a NaN.
    axis : int, default 0
        The class axis of the logits, counted from 0.

    Attributes
    ----------
    maximum : float array of shape (...)
        The largest logit of every row, ``-inf`` where there is no class.
    first : int array of shape (...)
        Its first index among the classes of the logits that the state was made from, -1 where there is no class.
    rest : float array of shape (...)
        The sum of ``exp(z - maximum)`` over the other classes.
    axis : int
        The class axis of the logits, counted from 0.
    value : float array of shape (...)
        The logarithm of the sum, in nats.

    See Also
    --------
    logsumexp : The number itself, for logits that are all at hand.
    linear_cross_entropy : A loss that makes and merges such states block by block.

    Notes
    -----
    Arrays are float64 and int64 (JAX: its default types), of the library of the logits.

    To stream, merge a part as it comes and forget its logits::

        state = LogPartition.from_logits(chunks[0])
        for chunk in chunks[1:]:
            state = state.merge(LogPartition.from_logits(chunk))

    The order of merging, and where the classes are cut, change `maximum` not at all and `rest` by its rounding only.
    `first` counts inside the logits of its part. If the part begins at class 1000 and the index is to count from class
    0, shift it before merging: ``dataclasses.replace(part, first=part.first + 1000)`` (for a part with a class in it).
    Of equal maxima the smaller index stays.

    Examples
    --------
    >>> import numpy as np
    >>> from softclass import LogPartition, logsumexp
    >>> logits = np.array([2.0, 1.0, 0.1, 3.0])
    >>> left, right = LogPartition.from_logits(logits[:2]), LogPartition.from_logits(logits[2:])
    >>> float(left.merge(right).value.round(4)), float(logsumexp(logits).round(4))
    (3.4436, 3.4436)
    >>> left.merge(right).log_probabilities(logits[2:]).round(4)
    array([-3.3436, -0.4436])
    """

    maximum: Any
    first: Any
    rest: Any
    axis: int = 0

    @classmethod
    def from_logits(cls, logits: Any, *, axis: int = -1) -> LogPartition:
        """
        Make the state of some classes.

        Parameters
        ----------
        logits : array of shape (..., n_classes, ...)
            As for `softmax`; there may be no class at all.
        axis : int, default -1
            The axis of the classes.

        Returns
        -------
        LogPartition
            With arrays of the shape of `logits` without `axis`.

        Raises
        ------
        DTypeError, InputError, ShapeError, OptionError
            SC111, SC113, if `logits` are no array of numbers; SC102, if they have no axis; SC141, if `axis` is out of
            range.
        """
        where = "LogPartition.from_logits"
        array = as_logits(where, logits)
        class_axis = as_axis(where, axis, array)
        maximum, first, rest = twin_of(array).log_partition_state(array, class_axis)
        return cls(_converted(namespace_of(array), maximum, rest.dtype), first, rest, class_axis)

    def merge(self, other: LogPartition) -> LogPartition:
        """
        Return the state of the classes of both.

        Parameters
        ----------
        other : LogPartition
            The state of other classes of the same rows.

        Returns
        -------
        LogPartition
            A new state; neither of the two is changed.

        Raises
        ------
        DTypeError, InputError, ShapeError
            SC113, if `other` is no `LogPartition`; SC101, if rows or class axes disagree; SC112, if libraries do.
        """
        check_mergeable("LogPartition.merge", self, other)
        xp = namespace_of(self.maximum)
        swapped = other.maximum > self.maximum  # False for NaN, which stays in `rest` either way
        high, low = xp.where(swapped, other.maximum, self.maximum), xp.where(swapped, self.maximum, other.maximum)
        of_high, of_low = xp.where(swapped, other.rest, self.rest), xp.where(swapped, self.rest, other.rest)
        tied = of_high + of_low + 1.0  # one of the equal maxima joins the sum; of two rows without a class: -1
        rest = xp.where(low == high, tied, of_high + (1.0 + of_low) * _exp_of_difference(xp, low, high))
        first, second = self.first, other.first
        lowest = xp.where((second < 0) | ((first >= 0) & (first < second)), first, second)
        first = xp.where(high == low, lowest, xp.where(swapped, second, first))
        return LogPartition(high, first, rest, self.axis)

    @property
    def value(self) -> Any:
        """The logarithm of the sum of the exponentials, in nats: ``maximum + log1p(rest)``."""
        xp = namespace_of(self.maximum)
        has_limit = xp.isinf(self.maximum) & ~xp.isnan(self.rest)
        log_rest = xp.log1p(xp.where(has_limit, 0.0, self.rest))
        return xp.where(has_limit, self.maximum, self.maximum + log_rest)

    def log_probabilities(self, logits: Any) -> Any:
        """
        Return the logarithms of the probabilities of some of the classes, in nats.

        Parameters
        ----------
        logits : array of shape (..., n_some_classes, ...)
            Logits of the same rows, with the class axis where it was; all classes or any part of them.

        Returns
        -------
        float array of the shape of `logits`
            ``logits - value``, without its cancellation; in the dtype of `logits`, the default float for integers. As
            for `log_softmax`, a row has NaN if it held NaN, several ``+inf`` or ``-inf`` only.

        Raises
        ------
        DTypeError, InputError, ShapeError
            SC101, if the rows disagree; SC111, SC113, if `logits` are no array of numbers; SC112, if libraries differ.
        """
        where = "LogPartition.log_probabilities"
        array = as_companion(where, "logits", as_logits(where, logits), "maximum", self.maximum)
        axis = as_axis(where, self.axis, array)
        rows = tuple(array.shape[:axis] + array.shape[axis + 1 :])
        check_shape(where, "maximum", self.maximum, rows, "have the shape of `logits` without its class axis")
        xp = namespace_of(self.maximum)
        maximum, rest = xp.expand_dims(self.maximum, axis=axis), xp.expand_dims(self.rest, axis=axis)
        z = _converted(xp, array, rest.dtype)
        with np.errstate(invalid="ignore", over="ignore"):
            difference, error = _difference(xp, z, xp.where(xp.isinf(maximum), 0.0, maximum))
            ordinary = (difference - xp.log1p(xp.where(rest < 0, 0.0, rest))) + error
        # One +inf takes all probability; beside several, or where every class is -inf, there is none.
        zeros = xp.zeros_like(z)
        one_hot = xp.where(z == maximum, zeros, xp.where(xp.isnan(z), math.nan, zeros - math.inf))
        extreme = xp.where((maximum == math.inf) & (rest == 0.0), one_hot, math.nan)
        result = xp.where(xp.isinf(maximum) | xp.isnan(rest), extreme, ordinary)
        return _converted(xp, result, own_dtype(array, result_type_name(array)))


def _exp_of_difference(xp: Any, low: Any, high: Any) -> Any:
    """Return exp(low - high), 0 where one is infinite."""
    is_finite = xp.isfinite(low) & xp.isfinite(high)
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        difference, error = _difference(xp, xp.where(is_finite, low, 0.0), xp.where(is_finite, high, 0.0))
        power = xp.exp(difference)
        return xp.where(is_finite, power + power * error, 0.0)


def _difference(xp: Any, z: Any, origin: Any) -> tuple[Any, Any]:
    """Return z - origin, rounded, and what rounding took from it (two-sum); 0 where it is infinite."""
    rounded = z - origin
    back = rounded - z
    error = (z - (rounded - back)) - (origin + back)
    return rounded, xp.where(xp.isfinite(error), error, 0.0)


def _converted(xp: Any, array: Any, dtype: Any) -> Any:
    return array.astype(dtype) if isinstance(array, (np.ndarray, np.generic)) else xp.astype(array, dtype)
