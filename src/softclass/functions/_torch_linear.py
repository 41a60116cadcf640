"""What PyTorch's autograd sees of the linear loss: backward, forward mode and vmap, to any order.

First derivatives never hold the logits; second ones, and those of single losses in forward mode, do.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from softclass.functions import _torch_kernels as kernels
from softclass.functions import formula
from softclass.functions._torch_autograd import loss_type, one_by_one, refuse_tangents
from softclass.functions._torch_kernels import LossOptions
from softclass.functions.namespaces import TORCH


class LinearCrossEntropy(Function):
    """features, weight, bias, targets, weights, options, wanted -> loss, gradients at features, weight, bias.

    The gradients that are wanted are made in the same pass. An ordinary backward hands them over, since a copy of the
    weight's may be larger than all else; another one, of a graph that is retained, makes them again.
    """

    @staticmethod
    def forward(*inputs: Any) -> tuple[Tensor | None, ...]:
        features, weight, bias, targets, sample_weight, class_weight, options, wanted = inputs
        if options.reduction == "none":
            wanted = (False, False, False)  # every row has an upstream number of its own
        return kernels.linear_cross_entropy(
            features, weight, bias, targets, sample_weight, class_weight, options, wanted
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor | None, ...]) -> None:
        *tensors, ctx.options, _ = inputs
        made = output[1:]
        ctx.mark_non_differentiable(*(gradient for gradient in made if gradient is not None))
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)
        ctx.made = made
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
        if upstream is None:
            return (None,) * 8
        made = ctx.made
        if any(gradient is not None for gradient in made) and kernels.is_plain(upstream):
            ctx.made = (None, None, None)
            return *(None if g is None else _times(g, upstream) for g in made), None, None, None, None, None
        features, weight, bias, *rest = ctx.saved_tensors
        wanted = tuple(ctx.needs_input_grad[:3])
        found = LinearGradients.apply(features, weight, bias, upstream, *rest, ctx.options, wanted, *made)
        return *found, None, None, None, None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> tuple[Tensor, None, None, None]:
        refuse_tangents(ctx.options.where, tangents[3:6])
        features, weight, bias, *rest = ctx.saved_tensors
        arrays, moving = (features, weight, bias), tangents[:3]
        if ctx.options.reduction == "none":
            return _dense_tangent(*arrays, moving, *rest, ctx.options), None, None, None
        wanted = tuple(t is not None for t in moving)
        upstream = torch.ones((), dtype=loss_type(features))
        gradients = LinearGradients.apply(*arrays, upstream, *rest, ctx.options, wanted, *ctx.made)
        products = [
            (g.to(upstream.dtype) * t.to(upstream.dtype)).sum()
            for g, t in zip(gradients, moving, strict=True)
            if t is not None
        ]
        return torch.stack(products).sum(), None, None, None

    @staticmethod
    def vmap(info: Any, in_dims: Any, *inputs: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        return one_by_one(LinearCrossEntropy, info, in_dims, *inputs)


class LinearGradients(Function):
    """features, weight, bias, upstream, targets, weights, options, wanted, made -> the gradients that are wanted.

    `made` are the gradients of the loss itself where the first pass made them; else the kernel makes them here.
    """

    @staticmethod
    def forward(*inputs: Any) -> tuple[Tensor | None, ...]:
        features, weight, bias, upstream, targets, sample_weight, class_weight = inputs[:7]
        options, wanted, *made = inputs[7:]
        rest = (targets, sample_weight, class_weight)
        if options.reduction == "none":
            return _of_weighted_rows(features, weight, bias, upstream, *rest, options, wanted)
        if any(is_wanted and gradient is None for gradient, is_wanted in zip(made, wanted, strict=True)):
            _, *made = kernels.linear_cross_entropy(features, weight, bias, *rest, options, wanted)
        return tuple(
            (gradient * upstream).to(gradient.dtype) if is_wanted and gradient is not None else None
            for gradient, is_wanted in zip(made, wanted, strict=True)
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor | None, ...]) -> None:
        ctx.options, ctx.wanted = inputs[7:9]
        ctx.save_for_backward(*inputs[:7])
        ctx.save_for_forward(*inputs[:7])
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Tensor | None, ...]:
        if all(cotangent is None for cotangent in cotangents):
            return (None,) * 12
        changes, of_upstream = _dense_change(*ctx.saved_tensors[:4], cotangents, *ctx.saved_tensors[4:], ctx.options)
        return *changes, of_upstream, *[None] * 8

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> tuple[Tensor | None, ...]:
        refuse_tangents(ctx.options.where, tangents[4:7])
        features, weight, bias, upstream, *rest = ctx.saved_tensors
        changes, _ = _dense_change(features, weight, bias, upstream, tangents[:3], *rest, ctx.options)
        found = [c if is_made else None for c, is_made in zip(changes, ctx.wanted, strict=True)]
        if tangents[3] is not None:
            made = LinearGradients.apply(
                features, weight, bias, tangents[3], *rest, ctx.options, ctx.wanted, None, None, None
            )
            found = [None if c is None else c + m for c, m in zip(found, made, strict=True)]
        return tuple(found)

    @staticmethod
    def vmap(info: Any, in_dims: Any, *inputs: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        return one_by_one(LinearGradients, info, in_dims, *inputs)


def _times(gradient: Tensor, upstream: Tensor) -> Tensor:
    """Multiply in place."""
    return gradient if upstream == 1 else gradient.mul_(upstream)


# ---- linear losses in tensor operations: second derivatives and forward mode


def _dense(features: Tensor, weight: Tensor, bias: Any, rest: tuple[Any, ...]) -> tuple[Tensor, Tensor, Any]:
    """Return features without the rows that are not there, the logits, and the weighed targets."""
    targets, sample_weight, class_weight, options = rest
    weighed = formula.weighed(
        TORCH, features, weight.shape[0], targets, -1, sample_weight, class_weight, options.ignore_index
    )
    x = formula.live(TORCH, features, weighed, -1)
    return x, formula.linear(TORCH, x, weight, bias), weighed


def _dense_direction(x: Tensor, weight: Tensor, directions: Any, weighed: Any) -> Tensor:
    """Return how the logits move where features, weight and bias move; None stands still."""
    of_features, of_weight, of_bias = directions
    total = torch.zeros((x.shape[0], weight.shape[0]), dtype=x.dtype)
    if of_features is not None:
        total = total + formula.live(TORCH, of_features, weighed, -1) @ formula.computed(weight, None).mT
    if of_weight is not None:
        total = total + x @ formula.computed(of_weight, None).mT
    return total if of_bias is None else total + formula.computed(of_bias, None)


def _dense_tangent(features: Tensor, weight: Tensor, bias: Any, directions: Any, *rest: Any) -> Tensor:
    """Return how the losses of the rows move."""
    x, logits, weighed = _dense(features, weight, bias, rest)
    slope = formula.gradient(TORCH, logits, weighed, -1, rest[-1].label_smoothing, weighed.omega)
    u = _dense_direction(x, weight, directions, weighed)
    return (slope * u).sum(-1).to(loss_type(features))


def _dense_change(
    features: Tensor, weight: Tensor, bias: Any, upstream: Tensor, directions: Any, *rest: Any
) -> tuple[tuple[Tensor, Tensor, Tensor | None], Tensor]:
    """Return how the gradients at features, weight and bias move, and the slope of the loss in that direction.

    The Hessian is symmetric: this is the tangent of the gradients as well as their cotangent.
    """
    options: LossOptions = rest[-1]
    x, logits, weighed = _dense(features, weight, bias, rest)
    u = _dense_direction(x, weight, directions, weighed)
    scale = formula.scale(TORCH, weighed, options.reduction)
    slope = formula.gradient(TORCH, logits, weighed, -1, options.label_smoothing, scale)
    product = formula.loss_hvp(TORCH, logits, u, weighed, -1, options.label_smoothing, options.reduction)
    by_row = (slope * u).sum(-1)
    factor = upstream.unsqueeze(-1) if options.reduction == "none" else upstream
    slope, product = (slope * factor).to(x.dtype), (product * factor).to(x.dtype)
    of_features, of_weight = product @ formula.computed(weight, None), product.mT @ x
    if directions[1] is not None:
        of_features = of_features + slope @ formula.computed(directions[1], None)
    if directions[0] is not None:
        of_weight = of_weight + slope.mT @ formula.live(TORCH, directions[0], weighed, -1)
    of_bias = None if bias is None else product.sum(0).to(bias.dtype)
    of_upstream = by_row if options.reduction == "none" else by_row.sum()
    changes = (of_features.to(features.dtype), of_weight.to(weight.dtype), of_bias)
    return changes, of_upstream.to(upstream.dtype)


def _dense_gradients(
    features: Tensor, weight: Tensor, bias: Tensor | None, upstream: Tensor, *rest: Any
) -> tuple[Tensor, Tensor, Tensor | None]:
    x, logits, weighed = _dense(features, weight, bias, rest)
    factor = formula.scale(TORCH, weighed, rest[-1].reduction)
    slope = formula.gradient(TORCH, logits, weighed, -1, rest[-1].label_smoothing, factor)
    slope = (slope * upstream.unsqueeze(-1)).to(logits.dtype)
    of_bias = None if bias is None else slope.sum(0).to(bias.dtype)
    return (slope @ formula.computed(weight, None)).to(features.dtype), (slope.mT @ x).to(weight.dtype), of_bias


def _of_weighted_rows(
    features: Tensor, weight: Tensor, bias: Tensor | None, upstream: Tensor, *rest: Any
) -> tuple[Tensor | None, ...]:
    """Return the gradients of the sum of upstream times loss; in two parts, since no weight is ever negative."""
    targets, sample_weight, class_weight, options, wanted = rest
    if kernels.is_batched(upstream) or not upstream.isfinite().all():  # the kernel takes finite weights
        made = _dense_gradients(features, weight, bias, upstream, *rest[:-1])
        return tuple(m if is_wanted else None for m, is_wanted in zip(made, wanted, strict=True))
    factor = upstream.to(torch.float64)
    if sample_weight is not None:
        factor = torch.where(sample_weight == 0, 0.0, factor * sample_weight)
    total: list[Tensor | None] = [
        torch.zeros_like(array) if is_wanted and array is not None else None
        for array, is_wanted in zip((features, weight, bias), wanted, strict=True)
    ]
    whole = options._replace(reduction="sum")
    for sign in (1.0, -1.0):
        part = (sign * factor).clamp(min=0.0)
        if part.any():
            found = kernels.linear_cross_entropy(features, weight, bias, targets, part, class_weight, whole, wanted)
            total = [None if t is None or f is None else t + sign * f for t, f in zip(total, found[1:], strict=True)]
    return tuple(total)
