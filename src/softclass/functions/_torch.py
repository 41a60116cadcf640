"""The functions for PyTorch: compiled kernels for CPU tensors, the formulas of `reference` for all else.

Under `torch.compile` an autograd.Function would make `torch.func.jvp` return 0 without an error (torch 2.13); the
formulas compile whole, and every transform of them is right. Elsewhere a tensor that no derivative looks at goes to the
kernel directly.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from softclass.functions import _torch_autograd as autograd
from softclass.functions import _torch_kernels as kernels
from softclass.functions import _torch_linear as linear
from softclass.functions import checks, formula, reference
from softclass.functions._torch_kernels import LossOptions, is_watched, runs_kernels


def softmax(
    logits: Tensor,
    axis: int | tuple[int, ...] | None,
    temperature: float,
    where: Tensor | None,
    dtype: torch.dtype | None,
    out: Tensor | None,
) -> Tensor:
    """See softclass.softmax."""
    return _family("softmax", logits, axis, temperature, where, dtype, out)


def log_softmax(
    logits: Tensor,
    axis: int | tuple[int, ...] | None,
    temperature: float,
    where: Tensor | None,
    dtype: torch.dtype | None,
    out: Tensor | None,
) -> Tensor:
    """See softclass.log_softmax."""
    return _family("log_softmax", logits, axis, temperature, where, dtype, out)


def _family(
    name: str, logits: Tensor, axis: Any, temperature: Any, where: Tensor | None, dtype: Any, out: Tensor | None
) -> Tensor:
    """Return what softmax and log_softmax have in common: all but the kernel."""
    _refuse_gradients(name, temperature=temperature)
    if out is not None and is_watched(logits):
        checks.raise_out_refused(name, "where a derivative is taken")
    if logits.ndim == 0 or logits.numel() == 0 or not runs_kernels(logits, where, out):
        found: Tensor = getattr(reference, name)(logits, axis, temperature, where, dtype, out)
        return found
    dtype = formula.result_type(logits, dtype)
    logits = _as_float(logits)
    where = None if where is None else where.broadcast_to(logits.shape)
    axes = _axes(logits, axis)
    if is_watched(logits):
        function = autograd.Softmax if name == "softmax" else autograd.LogSoftmax
        return function.apply(logits, where, axes, float(temperature), dtype)
    if out is not None:
        kernels.check_memory(name, out, logits)
    place = torch.empty_like(logits, dtype=dtype) if out is None else out
    kernel = kernels.softmax if name == "softmax" else kernels.log_softmax
    return kernel(logits, where, axes, float(temperature), place)


def logsumexp(
    logits: Tensor,
    axis: int | tuple[int, ...] | None,
    where: Tensor | None,
    keepdims: bool,
    dtype: torch.dtype | None,
) -> Tensor:
    """See softclass.logsumexp."""
    if logits.ndim == 0 or logits.numel() == 0 or not runs_kernels(logits, where):
        found: Tensor = reference.logsumexp(logits, axis, where, keepdims, dtype)
        return found
    dtype = formula.sum_type(logits, dtype)
    logits = _as_float(logits)
    where = None if where is None else where.broadcast_to(logits.shape)
    axes = _axes(logits, axis)
    function = autograd.LogSumExp.apply if is_watched(logits) else kernels.logsumexp
    values: Tensor = function(logits, where, axes, dtype)
    return values.reshape([1 if a in axes else n for a, n in enumerate(logits.shape)]) if keepdims else values


def cross_entropy(
    logits: Tensor,
    targets: Tensor,
    axis: int,
    sample_weight: Tensor | None,
    class_weight: Tensor | None,
    ignore_index: int | None,
    label_smoothing: float,
    reduction: str,
) -> Tensor:
    """See softclass.cross_entropy."""
    _refuse_gradients("cross_entropy", targets=targets, sample_weight=sample_weight, class_weight=class_weight)
    if not runs_kernels(logits, targets, sample_weight, class_weight):
        found: Tensor = reference.cross_entropy(
            logits, targets, axis, sample_weight, class_weight, ignore_index, label_smoothing, reduction
        )
        return found
    logits = _as_float(logits)
    options = LossOptions("cross_entropy", axis % logits.ndim, ignore_index, label_smoothing, reduction)
    tensors = (logits, *_as_kernels_take(targets, sample_weight, class_weight))
    if is_watched(*tensors):
        return autograd.CrossEntropy.apply(*tensors, options)[0]
    return kernels.cross_entropy(*tensors, options)[0]


def linear_cross_entropy(
    features: Tensor,
    weight: Tensor,
    targets: Tensor,
    bias: Tensor | None,
    sample_weight: Tensor | None,
    class_weight: Tensor | None,
    ignore_index: int | None,
    label_smoothing: float,
    reduction: str,
) -> Tensor:
    """See softclass.linear_cross_entropy."""
    name = "linear_cross_entropy"
    _refuse_gradients(name, targets=targets, sample_weight=sample_weight, class_weight=class_weight)
    if features.ndim != 2 or not runs_kernels(features, weight, targets, bias, sample_weight, class_weight):
        found: Tensor = reference.linear_cross_entropy(
            features, weight, targets, bias, sample_weight, class_weight, ignore_index, label_smoothing, reduction
        )
        return found
    options = LossOptions(name, -1, ignore_index, label_smoothing, reduction)
    rest = _as_kernels_take(targets, sample_weight, class_weight)
    if not is_watched(features, weight, bias, *rest):
        return kernels.linear_cross_entropy(features, weight, bias, *rest, options, (False, False, False))[0]
    wanted = [
        torch.is_grad_enabled() and array is not None and array.requires_grad for array in (features, weight, bias)
    ]
    return linear.LinearCrossEntropy.apply(features, weight, bias, *rest, options, tuple(wanted))[0]


def softmax_jacobian(probabilities: Tensor, axis: int) -> Tensor:
    """See softclass.softmax_jacobian."""
    found: Tensor = reference.softmax_jacobian(probabilities, axis)
    return found


def softmax_jvp(probabilities: Tensor, tangent: Tensor, axis: int) -> Tensor:
    """See softclass.softmax_jvp."""
    return softmax_vjp(probabilities, tangent, axis)  # the Jacobian is symmetric


def softmax_vjp(probabilities: Tensor, cotangent: Tensor, axis: int) -> Tensor:
    """See softclass.softmax_vjp."""
    if probabilities.numel() == 0 or not runs_kernels(probabilities, cotangent):
        found: Tensor = reference.softmax_vjp(probabilities, cotangent, axis)
        return found
    cotangent = cotangent.to(probabilities.dtype)
    is_plain = not is_watched(probabilities, cotangent)
    function = kernels.softmax_product if is_plain else autograd.SoftmaxProduct.apply
    product: Tensor = function(probabilities, cotangent, axis % probabilities.ndim, 1.0)
    return product


def cross_entropy_value_and_gradient(
    logits: Tensor,
    targets: Tensor,
    axis: int,
    sample_weight: Tensor | None,
    class_weight: Tensor | None,
    ignore_index: int | None,
    label_smoothing: float,
    reduction: str,
    out: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """See softclass.cross_entropy_value_and_gradient."""
    name = "cross_entropy_value_and_gradient"
    _refuse_gradients(name, targets=targets, sample_weight=sample_weight, class_weight=class_weight)
    if out is not None and is_watched(logits):
        checks.raise_out_refused(name, "where a derivative is taken")
    if not runs_kernels(logits, targets, sample_weight, class_weight, out):
        found: tuple[Tensor, Tensor] = reference.cross_entropy_value_and_gradient(
            logits, targets, axis, sample_weight, class_weight, ignore_index, label_smoothing, reduction, out
        )
        return found
    logits = _as_float(logits)
    options = LossOptions(name, axis % logits.ndim, ignore_index, label_smoothing, reduction)
    tensors = (logits, *_as_kernels_take(targets, sample_weight, class_weight))
    if is_watched(*tensors):
        loss, states, sums = autograd.CrossEntropy.apply(*tensors, options)
        upstream = torch.ones_like(loss)
        return loss, autograd.CrossEntropyGradient.apply(logits, upstream, states, sums, *tensors[1:], options)
    if out is not None:
        kernels.check_memory(name, out, logits)
    gradient = torch.empty_like(logits) if out is None else out
    loss, _ = kernels.cross_entropy(*tensors, options, gradient=gradient)
    return loss, gradient


def cross_entropy_hvp(
    logits: Tensor,
    targets: Tensor,
    tangent: Tensor,
    axis: int,
    sample_weight: Tensor | None,
    class_weight: Tensor | None,
    ignore_index: int | None,
    label_smoothing: float,
    reduction: str,
) -> Tensor:
    """See softclass.cross_entropy_hvp."""
    name = "cross_entropy_hvp"
    _refuse_gradients(name, targets=targets, sample_weight=sample_weight, class_weight=class_weight)
    options = (axis, sample_weight, class_weight, ignore_index, label_smoothing, reduction)
    if runs_kernels(logits, targets, sample_weight, class_weight):
        # The loss alone looks at targets and weights; its hvp reads the logits no more than it has to.
        with torch.no_grad():
            cross_entropy(logits.detach(), targets, *options)
    found: Tensor = reference.cross_entropy_hvp(logits, targets, tangent, *options)
    return found


def linear_cross_entropy_value_and_gradient(
    features: Tensor,
    weight: Tensor,
    targets: Tensor,
    bias: Tensor | None,
    sample_weight: Tensor | None,
    class_weight: Tensor | None,
    ignore_index: int | None,
    label_smoothing: float,
    reduction: str,
    wrt: tuple[str, ...],
) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]:
    """See softclass.linear_cross_entropy_value_and_gradient; returns loss, weight, bias and features gradients."""
    name = "linear_cross_entropy_value_and_gradient"
    _refuse_gradients(name, targets=targets, sample_weight=sample_weight, class_weight=class_weight)
    if features.ndim != 2 or not runs_kernels(features, weight, targets, bias, sample_weight, class_weight):
        found: tuple[Tensor, Any, Any, Any] = reference.linear_cross_entropy_value_and_gradient(
            features, weight, targets, bias, sample_weight, class_weight, ignore_index, label_smoothing, reduction, wrt
        )
        return found
    options = LossOptions(name, -1, ignore_index, label_smoothing, reduction)
    rest = _as_kernels_take(targets, sample_weight, class_weight)
    wanted = ("features" in wrt, "weight" in wrt, "bias" in wrt and bias is not None)
    if is_watched(features, weight, bias, *rest):
        loss = linear.LinearCrossEntropy.apply(features, weight, bias, *rest, options, (False, False, False))[0]
        gradients = linear.LinearGradients.apply(
            features, weight, bias, torch.ones_like(loss), *rest, options, wanted, None, None, None
        )
        return loss, gradients[1], gradients[2], gradients[0]
    loss, of_features, of_weight, of_bias = kernels.linear_cross_entropy(features, weight, bias, *rest, options, wanted)
    return loss, of_weight, of_bias, of_features


def linear_cross_entropy_hvp(
    features: Tensor,
    weight: Tensor,
    targets: Tensor,
    weight_tangent: Tensor,
    bias: Tensor | None,
    bias_tangent: Tensor | None,
    sample_weight: Tensor | None,
    class_weight: Tensor | None,
    ignore_index: int | None,
    label_smoothing: float,
    reduction: str,
) -> tuple[Tensor, Tensor | None]:
    """See softclass.linear_cross_entropy_hvp; returns the products for the weight and for the bias."""
    name = "linear_cross_entropy_hvp"
    _refuse_gradients(name, targets=targets, sample_weight=sample_weight, class_weight=class_weight)
    arrays = (features, weight, bias, weight_tangent, bias_tangent)
    if features.ndim != 2 or is_watched(*arrays) or not runs_kernels(*arrays, targets, sample_weight, class_weight):
        found: tuple[Tensor, Tensor | None] = reference.linear_cross_entropy_hvp(
            features, weight, targets, weight_tangent, bias, bias_tangent,
            sample_weight, class_weight, ignore_index, label_smoothing, reduction,
        )  # fmt: skip
        return found
    options = LossOptions(name, -1, ignore_index, label_smoothing, reduction)
    return kernels.linear_cross_entropy_hvp(*arrays, *_as_kernels_take(targets, sample_weight, class_weight), options)


def log_partition_state(logits: Tensor, axis: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return maximum, its first index and the rest of every row."""
    found: tuple[Tensor, Tensor, Tensor] = reference.log_partition_state(logits, axis)
    return found


# ---- arguments


def _as_float(logits: Tensor) -> Tensor:
    """Return integers in the default type, floats as they come."""
    return logits if logits.is_floating_point() else logits.to(torch.get_default_dtype())


def _axes(logits: Tensor, axis: int | tuple[int, ...] | None) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(logits.ndim))
    return tuple(a % logits.ndim for a in (axis if isinstance(axis, tuple) else (axis,)))


def _as_kernels_take(
    targets: Tensor, sample_weight: Tensor | None, class_weight: Tensor | None
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Return class indices as int64 and weights as float64, in C order; target probabilities as they are."""
    if not targets.is_floating_point():
        targets = targets.to(torch.int64).contiguous()
    weights = [None if w is None else w.to(torch.float64).contiguous() for w in (sample_weight, class_weight)]
    return targets, weights[0], weights[1]


def _refuse_gradients(name: str, **arguments: Any) -> None:
    """Raise SC141 for an argument that requires a gradient and has none: never a silent 0."""
    if torch.is_grad_enabled():
        for argument, value in arguments.items():
            if isinstance(value, Tensor) and value.requires_grad:
                checks.raise_not_differentiable(name, argument)
