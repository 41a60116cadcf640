"""Loss and gradient at the logits of the four heads: softmax or sigmoid, with cross-entropy or squared error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from softclass.functions.derivatives import cross_entropy_value_and_gradient
from softclass.functions.experiment_checks import rows_and_targets
from softclass.functions.softmax import softmax

Float64 = npt.NDArray[np.float64]
Head = Callable[[Any, Any], tuple[Any, Any]]


def squared_error(logits: Any, targets: Any) -> tuple[Any, Float64]:
    r"""
    Half the squared error after softmax, and its gradient at the logits.

    :math:`\ell = \frac12 \lVert p - y \rVert^2` and :math:`\partial \ell / \partial z = J (p - y)` with
    :math:`J = \mathrm{diag}(p) - p p^\top`: the gradient of the cross-entropy, sent once more through the Jacobian.

    Parameters
    ----------
    logits : float array of shape (..., n_classes)
        A NumPy array or nested lists.
    targets : int array of shape (...), or float array of shape (..., n_classes)
        Class indices, or distributions over the classes.

    Returns
    -------
    loss : float, or float64 array of shape (...)
        One a row, at most 1; not averaged.
    gradient : float64 array of shape (..., n_classes)
        Of the loss of each row; each row sums to 0, its length is at most 0.41903.

    Raises
    ------
    DTypeError, InputError, ShapeError, TargetError
        As for `softclass.cross_entropy`.

    See Also
    --------
    softclass.cross_entropy_value_and_gradient : The loss without the Jacobian in its gradient.

    Notes
    -----
    Memory: a few arrays as large as `logits`. Numerics: each difference ``p - y`` is taken relative to that of the
    largest probability, as the sum over pairs :math:`\sum_i p_i (r_j - r_i)` does; ``p * (r - p @ r)`` has no right
    digit left once one class leads by 40 nats.

    Examples
    --------
    >>> loss, gradient = squared_error([2.0, 1.0, 0.1], 0)
    >>> round(float(loss), 6), gradient.round(6).tolist()
    (0.092385, [-0.121763, 0.096649, 0.025114])

    A class that trails by 12 nats is wrong almost as much as can be, and hardly pushed:

    >>> loss, gradient = squared_error([0.0, 12.0], 0)
    >>> f"{loss:.6f} {np.linalg.norm(gradient):.1e}"
    '0.999988 1.7e-05'
    """
    z, wanted, are_indices = rows_and_targets("squared_error", logits, targets)
    p = np.asarray(softmax(z))
    r = _difference(p, wanted, are_indices)
    largest = p.argmax(axis=-1)[..., None]
    relative = r - np.take_along_axis(r, largest, axis=-1)
    gradient = p * (relative - (p * relative).sum(axis=-1, keepdims=True))
    return 0.5 * (r * r).sum(axis=-1), gradient


def sigmoid_cross_entropy(logits: Any, targets: Any) -> tuple[Any, Float64]:
    r"""
    Cross-entropy of independent sigmoid outputs, summed over them, and its gradient at the logits.

    With :math:`a = \sigma(z)`: :math:`\ell = -\sum_k y_k \ln a_k + (1 - y_k) \ln (1 - a_k)` and
    :math:`\partial \ell / \partial z = a - y`: the factor :math:`\sigma'(z) = a (1 - a)` cancels.

    Parameters
    ----------
    logits : float array of shape (..., n_outputs)
        A NumPy array or nested lists.
    targets : int array of shape (...), or float array of shape (..., n_outputs)
        Indices of the one output that should be 1, or what each output should be, in [0, 1].

    Returns
    -------
    loss : float, or float64 array of shape (...)
        In nats, one a row.
    gradient : float64 array of shape (..., n_outputs)
        Of the loss of each row.

    Raises
    ------
    DTypeError, InputError, ShapeError, TargetError
        As for `softclass.cross_entropy`.

    See Also
    --------
    sigmoid_squared_error : With the factor in it.

    Notes
    -----
    Memory: a few arrays as large as `logits`. Numerics: ``max(z, 0) - y z + log1p(exp(-|z|))``; the gradient as
    ``(1 - y) σ(z) - y σ(-z)``, so that an output near its target keeps its digits.

    Examples
    --------
    One neuron at 4 whose target is 0:

    >>> loss, gradient = sigmoid_cross_entropy([4.0], [0.0])
    >>> round(float(loss), 4), gradient.round(4).tolist()
    (4.0181, [0.982])
    """
    z, y = _outputs("sigmoid_cross_entropy", logits, targets)
    losses = np.maximum(z, 0) - y * z + np.log1p(np.exp(-np.abs(z)))
    return losses.sum(axis=-1), (1 - y) * _sigmoid(z) - y * _sigmoid(-z)


def sigmoid_squared_error(logits: Any, targets: Any) -> tuple[Any, Float64]:
    r"""
    Half the squared error of independent sigmoid outputs, summed over them, and its gradient at the logits.

    With :math:`a = \sigma(z)`: :math:`\ell = \frac12 \sum_k (a_k - y_k)^2` and
    :math:`\partial \ell / \partial z_k = (a_k - y_k)\, a_k (1 - a_k)`.

    Parameters
    ----------
    logits : float array of shape (..., n_outputs)
        A NumPy array or nested lists.
    targets : int array of shape (...), or float array of shape (..., n_outputs)
        Indices of the one output that should be 1, or what each output should be, in [0, 1].

    Returns
    -------
    loss : float, or float64 array of shape (...)
        One a row.
    gradient : float64 array of shape (..., n_outputs)
        Of the loss of each row; no entry exceeds 4/27 for targets of 0 and 1.

    Raises
    ------
    DTypeError, InputError, ShapeError, TargetError
        As for `softclass.cross_entropy`.

    See Also
    --------
    sigmoid_cross_entropy : Without the factor.

    Notes
    -----
    Memory: a few arrays as large as `logits`. Numerics: σ(-z) in the place of 1 - σ(z), so nothing cancels.

    Examples
    --------
    The same neuron, 2 % from the worst answer there is:

    >>> loss, gradient = sigmoid_squared_error([4.0], [0.0])
    >>> round(float(loss), 4), gradient.round(4).tolist()
    (0.4822, [0.0173])
    """
    z, y = _outputs("sigmoid_squared_error", logits, targets)
    a, rest = _sigmoid(z), _sigmoid(-z)
    r = (1 - y) * a - y * rest
    return 0.5 * (r * r).sum(axis=-1), r * a * rest


def _softmax_cross_entropy(logits: Any, targets: Any) -> tuple[Any, Any]:
    return cross_entropy_value_and_gradient(logits, targets, reduction="none")


HEADS: dict[str, Head] = {
    "softmax_ce": _softmax_cross_entropy,
    "softmax_se": squared_error,
    "sigmoid_ce": sigmoid_cross_entropy,
    "sigmoid_se": sigmoid_squared_error,
}


def _difference(p: Float64, wanted: Any, are_indices: bool) -> Float64:
    """Return p - y; at a class index as minus the sum of the others, where p - 1 loses its digits."""
    if not are_indices:
        return p - wanted  # type: ignore[no-any-return]
    index = np.asarray(wanted)[..., None]
    r = p.copy()
    np.put_along_axis(r, index, 0.0, axis=-1)
    np.put_along_axis(r, index, -r.sum(axis=-1, keepdims=True), axis=-1)
    return r


def _outputs(where: str, logits: Any, targets: Any) -> tuple[Float64, Float64]:
    z, wanted, are_indices = rows_and_targets(where, logits, targets, of_softmax=False)
    if not are_indices:
        return z, wanted
    y = np.zeros_like(z)
    np.put_along_axis(y, np.asarray(wanted)[..., None], 1.0, axis=-1)
    return z, y


def _sigmoid(z: Float64) -> Float64:
    small = np.exp(-np.abs(z))
    return np.where(z >= 0, 1.0, small) / (1 + small)  # type: ignore[no-any-return]
