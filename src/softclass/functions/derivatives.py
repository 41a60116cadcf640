"""Derivatives as functions of their own, for NumPy users and solvers; PyTorch and JAX differentiate the others too."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from softclass.functions.checks import (
    as_axis,
    as_floats,
    as_logits,
    as_same_type,
    as_targets,
    as_wrt,
    check_out,
    check_shape,
    raise_no_axis,
    raise_tangent_of_nothing,
)
from softclass.functions.cross_entropy import checked_options, is_usual
from softclass.functions.libraries import twin_of
from softclass.functions.linear_cross_entropy import checked_linear


def softmax_jacobian(probabilities: Any, *, axis: int = -1) -> Any:
    r"""
    Jacobian of the softmax, from its value.

    :math:`\partial p_i / \partial z_j = p_i (\delta_{ij} - p_j)`, symmetric; every row sums to 0.

    Parameters
    ----------
    probabilities : float array of shape (..., n_classes, ...)
        What `softmax` returned.
    axis : int, default -1
        The axis of the classes.

    Returns
    -------
    float array of shape (..., n_classes, n_classes)
        In the dtype of `probabilities`; the other axes first, in their order.

    Raises
    ------
    DTypeError, InputError, ShapeError, OptionError
        SC111, SC113, if `probabilities` are no array of numbers; SC102, if they have no axis; SC141, if `axis` is out
        of range.

    See Also
    --------
    softmax_vjp : The product with a vector, without the matrix.

    Notes
    -----
    Memory: :math:`K^2` numbers a row, for teaching and tests. Numerics: the diagonal is minus the sum of its row, so
    that a class of probability 1 keeps what ``p * (1 - p)`` loses.

    Examples
    --------
    >>> from softclass import softmax, softmax_jacobian
    >>> softmax_jacobian(softmax([2.0, 1.0, 0.1])).round(4)
    array([[ 0.2247, -0.1598, -0.065 ],
           [-0.1598,  0.1837, -0.0239],
           [-0.065 , -0.0239,  0.0889]])
    """
    array, class_axis = _probabilities("softmax_jacobian", probabilities, axis)
    return twin_of(array).softmax_jacobian(array, class_axis)


def softmax_jvp(probabilities: Any, tangent: Any, *, axis: int = -1) -> Any:
    r"""
    Product of the Jacobian of the softmax with a tangent: the change of the probabilities.

    :math:`J t = p \odot (t - \langle p, t \rangle)` for a change :math:`t` of the logits.

    Parameters
    ----------
    probabilities : float array of shape (..., n_classes, ...)
        What `softmax` returned.
    tangent : float array of the same shape and dtype
        The change of the logits.
    axis : int, default -1
        The axis of the classes.

    Returns
    -------
    float array of the shape and dtype of `probabilities`
        Sums to 0 along `axis`.

    Raises
    ------
    DTypeError, InputError, ShapeError, OptionError
        SC101, SC111, if the two arrays differ in shape or dtype; SC112, in library or device; SC102, SC113, SC141, as
        for `softmax`.

    See Also
    --------
    softmax_vjp : The same number, since the Jacobian is symmetric.

    Notes
    -----
    Memory: the result. Numerics: as for `softmax_vjp`. With a temperature divide the result by it.

    Examples
    --------
    >>> from softclass import softmax, softmax_jvp
    >>> softmax_jvp(softmax([2.0, 1.0, 0.1]), [1.0, 0.0, 0.0]).round(4)
    array([ 0.2247, -0.1598, -0.065 ])
    """
    name = "softmax_jvp"
    array, class_axis = _probabilities(name, probabilities, axis)
    return twin_of(array).softmax_jvp(array, _alike(name, "tangent", tangent, "probabilities", array), class_axis)


def softmax_vjp(probabilities: Any, cotangent: Any, *, axis: int = -1) -> Any:
    r"""
    Product of the transposed Jacobian of the softmax with a cotangent: the gradient at the logits.

    :math:`J^T g = p \odot (g - \langle p, g \rangle)` for a gradient :math:`g` at the probabilities.

    Parameters
    ----------
    probabilities : float array of shape (..., n_classes, ...)
        What `softmax` returned.
    cotangent : float array of the same shape and dtype
        The gradient at the probabilities.
    axis : int, default -1
        The axis of the classes.

    Returns
    -------
    float array of the shape and dtype of `probabilities`
        Sums to 0 along `axis`.

    Raises
    ------
    DTypeError, InputError, ShapeError, OptionError
        As for `softmax_jvp`.

    See Also
    --------
    softmax_jacobian : The whole matrix.

    Notes
    -----
    Memory: the result. Numerics: the cotangent is taken relative to its entry at the largest probability, so nothing
    cancels where a class is sure. With a temperature divide the result by it.

    Examples
    --------
    >>> from softclass import softmax, softmax_vjp
    >>> softmax_vjp(softmax([2.0, 1.0, 0.1]), [0.0, 0.0, 1.0]).round(4)
    array([-0.065 , -0.0239,  0.0889])
    """
    name = "softmax_vjp"
    array, class_axis = _probabilities(name, probabilities, axis)
    return twin_of(array).softmax_vjp(array, _alike(name, "cotangent", cotangent, "probabilities", array), class_axis)


def cross_entropy_value_and_gradient(
    logits: Any,
    targets: Any,
    *,
    axis: int = -1,
    sample_weight: Any = None,
    class_weight: Any = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    out: Any = None,
) -> tuple[Any, Any]:
    r"""
    Cross-entropy and its gradient at the logits, in one pass.

    :math:`\partial \ell_i / \partial z_i = \omega_i (p_i - \bar q_i)`, in the letters of `cross_entropy`.

    Parameters
    ----------
    logits : array of shape (..., n_classes, ...)
        As for `cross_entropy`.
    targets : int array of the shape of `logits` without `axis`, or float array of the shape of `logits`
        Class indices or distributions, as for `cross_entropy`.
    axis : int, default -1
        The axis of the classes.
    sample_weight : array of the shape of `logits` without `axis`, optional
        As for `cross_entropy`.
    class_weight : array of shape (n_classes,), optional
        As for `cross_entropy`.
    ignore_index : int, optional
        As for `cross_entropy`.
    label_smoothing : float, default 0.0
        As for `cross_entropy`.
    reduction : {"mean", "sum", "none"}, default "mean"
        As for `cross_entropy`.
    out : array of the shape and dtype of the gradient, optional
        Where the gradient is written; it may be `logits`. NumPy and PyTorch.

    Returns
    -------
    loss : float, or float array of the shape of `logits` without `axis`
        What `cross_entropy` returns.
    gradient : float array of the shape of `logits`
        In the dtype of `logits`, the default float for integers. Of the mean or the sum; with "none", each row holds
        the gradient of its own loss. Rows of weight 0 are exactly 0.

    Raises
    ------
    DTypeError, InputError, ShapeError, TargetError, OptionError, UsageError
        As for `cross_entropy`; SC141 also for an `out` that cannot be written or overlaps `logits` partly.

    See Also
    --------
    cross_entropy : The loss alone.
    cross_entropy_hvp : The second derivative in one direction.

    Notes
    -----
    Memory: the gradient and a few numbers a row. Numerics: at a confident right answer the entry of the target is minus
    the sum of the others, not ``p - 1``, so it does not become 0 and rows sum to 0. float32 entries are within 3.5
    units in the last place for class indices.

    Examples
    --------
    >>> from softclass import cross_entropy_value_and_gradient
    >>> loss, gradient = cross_entropy_value_and_gradient([[2.0, 1.0, 0.1], [1.0, 3.0, 0.2]], [0, 1])
    >>> round(float(loss), 6)
    0.298067
    >>> gradient.round(4)
    array([[-0.1705,  0.1212,  0.0493],
           [ 0.0566, -0.082 ,  0.0254]])
    """
    where = "cross_entropy_value_and_gradient"
    if out is None and is_usual(logits, axis, sample_weight, class_weight, ignore_index, label_smoothing, reduction):
        found = twin_of(logits).usual_loss(logits, targets, True)
        if found is not None:
            return found  # type: ignore[no-any-return]
    array = as_logits(where, logits)
    class_axis = as_axis(where, axis, array)
    labels = as_targets(where, targets, array, class_axis)
    options = checked_options(
        where, array, labels, class_axis, sample_weight, class_weight, ignore_index, label_smoothing, reduction
    )
    if out is not None:
        check_out(where, out, array, None)
    return twin_of(array).cross_entropy_value_and_gradient(  # type: ignore[no-any-return]
        array, labels, class_axis, *options, out
    )


def cross_entropy_hvp(
    logits: Any,
    targets: Any,
    tangent: Any,
    *,
    axis: int = -1,
    sample_weight: Any = None,
    class_weight: Any = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Any:
    r"""
    Product of the Hessian of the cross-entropy, at the logits, with a tangent.

    :math:`\omega_i\, p_i \odot (u_i - \langle p_i, u_i \rangle)` for a change :math:`u` of the logits, divided as the
    loss is. The Hessian is positive semi-definite and depends on the targets through :math:`\omega` only.

    Parameters
    ----------
    logits : array of shape (..., n_classes, ...)
        As for `cross_entropy`.
    targets : int array of the shape of `logits` without `axis`, or float array of the shape of `logits`
        Class indices or distributions, as for `cross_entropy`.
    tangent : float array of the shape and dtype of `logits`
        The change of the logits.
    axis : int, default -1
        The axis of the classes.
    sample_weight : array of the shape of `logits` without `axis`, optional
        As for `cross_entropy`.
    class_weight : array of shape (n_classes,), optional
        As for `cross_entropy`.
    ignore_index : int, optional
        As for `cross_entropy`.
    label_smoothing : float, default 0.0
        As for `cross_entropy`; the second derivative is the same for every value.
    reduction : {"mean", "sum", "none"}, default "mean"
        "mean" divides by the sum of the row weights; the others do not.

    Returns
    -------
    float array of the shape of `logits`
        In the dtype of `logits`, the default float for integers. Rows of weight 0 are exactly 0.

    Raises
    ------
    DTypeError, InputError, ShapeError, TargetError, OptionError, UsageError
        As for `cross_entropy`; SC101, SC111, if `tangent` has not the shape and dtype of `logits`.

    See Also
    --------
    linear_cross_entropy_hvp : The same at weight and bias.

    Notes
    -----
    Memory: the result and the probabilities. Numerics: as for `softmax_vjp`.

    Examples
    --------
    >>> from softclass import cross_entropy_hvp
    >>> cross_entropy_hvp([[2.0, 1.0, 0.1]], [0], [[1.0, 0.0, 0.0]]).round(4)
    array([[ 0.2247, -0.1598, -0.065 ]])
    """
    where = "cross_entropy_hvp"
    array = as_logits(where, logits)
    class_axis = as_axis(where, axis, array)
    labels = as_targets(where, targets, array, class_axis)
    change = _alike(where, "tangent", tangent, "logits", array)
    options = checked_options(
        where, array, labels, class_axis, sample_weight, class_weight, ignore_index, label_smoothing, reduction
    )
    return twin_of(array).cross_entropy_hvp(array, labels, change, class_axis, *options)


@dataclass(frozen=True, eq=False)
class LinearGradients:
    """
    Derivatives of a linear loss, one array for every argument that was asked for.

    Parameters
    ----------
    weight : float array of shape (n_classes, n_features) or None
        At the weight.
    bias : float array of shape (n_classes,) or None
        At the bias.
    features : float array of shape (n_samples, n_features) or None
        At the features.

    Attributes
    ----------
    weight : float array of shape (n_classes, n_features) or None
        At the weight; None if it was not asked for.
    bias : float array of shape (n_classes,) or None
        At the bias; None if it was not asked for, or there is none.
    features : float array of shape (n_samples, n_features) or None
        At the features; None if it was not asked for.

    See Also
    --------
    linear_cross_entropy_value_and_gradient : Returns one.
    linear_cross_entropy_hvp : Returns one.

    Examples
    --------
    >>> from softclass import linear_cross_entropy_value_and_gradient
    >>> _, gradients = linear_cross_entropy_value_and_gradient([[1.0, 2.0]], [[2.0, 1.0], [1.0, 3.0]], [0])
    >>> gradients.weight.round(4)
    array([[-0.9526, -1.9051],
           [ 0.9526,  1.9051]])
    >>> gradients.bias is None
    True
    """

    weight: Any = None
    bias: Any = None
    features: Any = None


def linear_cross_entropy_value_and_gradient(
    features: Any,
    weight: Any,
    targets: Any,
    *,
    bias: Any = None,
    sample_weight: Any = None,
    class_weight: Any = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    wrt: Iterable[str] = ("weight", "bias"),
) -> tuple[Any, LinearGradients]:
    r"""
    Cross-entropy of ``features @ weight.T + bias`` and its gradients, without storing the logits.

    With :math:`g_i = \omega_i (p_i - \bar q_i)`: :math:`\sum_i g_i x_i^T` at the weight, :math:`\sum_i g_i` at the
    bias, :math:`W^T g_i` at the features.

    Parameters
    ----------
    features : float array of shape (n_samples, n_features)
        As for `linear_cross_entropy`.
    weight : float array of shape (n_classes, n_features)
        As for `linear_cross_entropy`.
    targets : int array of shape (n_samples,) or float array of shape (n_samples, n_classes)
        As for `linear_cross_entropy`.
    bias : float array of shape (n_classes,), optional
        As for `linear_cross_entropy`.
    sample_weight : array of shape (n_samples,), optional
        As for `cross_entropy`.
    class_weight : array of shape (n_classes,), optional
        As for `cross_entropy`.
    ignore_index : int, optional
        As for `cross_entropy`.
    label_smoothing : float, default 0.0
        As for `cross_entropy`.
    reduction : {"mean", "sum", "none"}, default "mean"
        As for `linear_cross_entropy`.
    wrt : tuple of str, default ("weight", "bias")
        What gradients are wanted for, out of "weight", "bias" and "features". The default leaves the bias out where
        there is none. A solver that never asks for "features" saves a third of the work.

    Returns
    -------
    loss : float, or float array of shape (n_samples,)
        What `linear_cross_entropy` returns.
    gradients : LinearGradients
        In the dtype of `features`, None for what was not asked for. Of the mean with "mean", of the sum with "sum" and
        with "none".

    Raises
    ------
    DTypeError, InputError, ShapeError, TargetError, OptionError, UsageError
        As for `linear_cross_entropy`; SC141, if `wrt` holds another word; SC202, if it asks for a bias that is not
        there.

    See Also
    --------
    linear_cross_entropy : The loss alone.
    linear_cross_entropy_hvp : The second derivative in one direction.

    Notes
    -----
    Memory: the gradients and blocks of bounded size; no array of shape (n_samples, n_classes) is made. Numerics: sums
    over rows are formed in float32 or wider and rounded once. A row of weight 0 has no influence.

    Examples
    --------
    >>> import numpy as np
    >>> from softclass import linear_cross_entropy_value_and_gradient
    >>> features, weight = np.eye(2), np.array([[2.0, 1.0], [1.0, 3.0], [0.1, 0.2]])
    >>> loss, gradients = linear_cross_entropy_value_and_gradient(features, weight, [0, 1], bias=np.zeros(3))
    >>> round(float(loss), 4)
    0.2981
    >>> gradients.bias.round(4)
    array([-0.1139,  0.0392,  0.0747])
    """
    where = "linear_cross_entropy_value_and_gradient"
    checked = checked_linear(
        where,
        features,
        weight,
        targets,
        bias,
        sample_weight,
        class_weight,
        ignore_index,
        label_smoothing,
        reduction,
    )
    parts = as_wrt(where, wrt, bias is not None)
    twin = twin_of(checked.features)
    loss, *gradients = twin.linear_cross_entropy_value_and_gradient(*checked, parts)
    return loss, LinearGradients(*gradients)


def linear_cross_entropy_hvp(
    features: Any,
    weight: Any,
    targets: Any,
    weight_tangent: Any,
    *,
    bias: Any = None,
    bias_tangent: Any = None,
    sample_weight: Any = None,
    class_weight: Any = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> LinearGradients:
    r"""
    Product of the Hessian of the linear cross-entropy, at weight and bias, with a tangent.

    In the direction :math:`(V, v)`, with :math:`u_i = V x_i + v` and :math:`r_i = \omega_i\, p_i \odot (u_i - \langle
    p_i, u_i \rangle)`: :math:`\sum_i r_i x_i^T` at the weight and :math:`\sum_i r_i` at the bias.

    Parameters
    ----------
    features : float array of shape (n_samples, n_features)
        As for `linear_cross_entropy`.
    weight : float array of shape (n_classes, n_features)
        As for `linear_cross_entropy`.
    targets : int array of shape (n_samples,) or float array of shape (n_samples, n_classes)
        As for `linear_cross_entropy`; they matter through the row weights only.
    weight_tangent : float array of shape (n_classes, n_features)
        The direction at the weight. Same dtype as `features`.
    bias : float array of shape (n_classes,), optional
        As for `linear_cross_entropy`.
    bias_tangent : float array of shape (n_classes,), optional
        The direction at the bias, 0 if it is not given. Same dtype as `features`.
    sample_weight : array of shape (n_samples,), optional
        As for `cross_entropy`.
    class_weight : array of shape (n_classes,), optional
        As for `cross_entropy`.
    ignore_index : int, optional
        As for `cross_entropy`.
    label_smoothing : float, default 0.0
        As for `cross_entropy`; the second derivative is the same for every value.
    reduction : {"mean", "sum", "none"}, default "mean"
        "mean" divides by the sum of the row weights; the others do not.

    Returns
    -------
    LinearGradients
        `weight`, and `bias` if there is one, in the dtype of `features`; `features` is None.

    Raises
    ------
    DTypeError, InputError, ShapeError, TargetError, OptionError, UsageError
        As for `linear_cross_entropy`; SC202, for a `bias_tangent` without a `bias`.

    See Also
    --------
    cross_entropy_hvp : The same at the logits.

    Notes
    -----
    Memory: the products and blocks of bounded size; no array of shape (n_samples, n_classes) is made.

    Examples
    --------
    >>> import numpy as np
    >>> from softclass import linear_cross_entropy_hvp
    >>> features, weight = np.eye(2), np.array([[2.0, 1.0], [1.0, 3.0], [0.1, 0.2]])
    >>> linear_cross_entropy_hvp(features, weight, [0, 1], np.ones((3, 2)) * [[1.0], [0.0], [0.0]]).weight.round(4)
    array([[ 0.1124,  0.0502],
           [-0.0799, -0.0473],
           [-0.0325, -0.0029]])
    """
    where = "linear_cross_entropy_hvp"
    checked = checked_linear(
        where,
        features,
        weight,
        targets,
        bias,
        sample_weight,
        class_weight,
        ignore_index,
        label_smoothing,
        reduction,
    )
    direction = as_same_type(where, "weight_tangent", weight_tangent, "features", checked.features)
    check_shape(where, "weight_tangent", direction, tuple(checked.weight.shape), "have the shape of `weight`")
    if bias_tangent is not None:
        if bias is None:
            raise_tangent_of_nothing(where)
        bias_tangent = as_same_type(where, "bias_tangent", bias_tangent, "features", checked.features)
        check_shape(where, "bias_tangent", bias_tangent, tuple(checked.bias.shape), "have the shape of `bias`")
    products = twin_of(checked.features).linear_cross_entropy_hvp(
        *checked[:3], direction, checked.bias, bias_tangent, *checked[4:]
    )
    return LinearGradients(*products)


def _probabilities(where: str, value: Any, axis: Any) -> tuple[Any, int]:
    """Return probabilities as an array with at least one axis, and the class axis counted from 0."""
    array = as_floats(where, "probabilities", value)
    if array.ndim == 0:
        raise_no_axis(where, array, "probabilities")
    return array, as_axis(where, axis, array, "probabilities")


def _alike(where: str, name: str, value: Any, first_name: str, first: Any) -> Any:
    """Return an array of the library, the shape and the dtype of the first."""
    array = as_same_type(where, name, value, first_name, first)
    check_shape(where, name, array, tuple(first.shape), f"have the shape of `{first_name}`")
    return array
