"""What PyTorch's autograd sees of the kernels: every Function has backward, forward mode and vmap, to any order.

`backward` and `jvp` use only operations that can be differentiated again: tensor operations, and the Functions of this
file. Formulas, with p the probabilities, q the target distribution, g a cotangent, t a tangent:

    softmax    p (v - <p, v>) for both        log_softmax    g - p sum(g),  t - <p, t>       logsumexp    g p,  <p, t>
    loss       upstream omega (p - q), and its product with t         its gradient    omega p (h - <p, h>)
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from softclass.functions import _torch_kernels as kernels
from softclass.functions import checks, formula
from softclass.functions._torch_kernels import LossOptions
from softclass.functions.namespaces import TORCH

Axes = tuple[int, ...]


class Softmax(Function):
    """logits, where, axes, temperature, dtype -> probabilities."""

    @staticmethod
    def forward(logits: Tensor, where: Tensor | None, axes: Axes, temperature: float, dtype: torch.dtype) -> Tensor:
        return kernels.softmax(logits, where, axes, temperature, torch.empty_like(logits, dtype=dtype))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        logits, _, ctx.axes, ctx.temperature, _ = inputs
        ctx.dtype = logits.dtype
        ctx.save_for_backward(output)
        ctx.save_for_forward(output)

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor | None, ...]:
        (p,) = ctx.saved_tensors
        return _product(p, cotangent, ctx.axes, 1 / ctx.temperature).to(ctx.dtype), None, None, None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Tensor:
        (p,) = ctx.saved_tensors
        return _product(p, tangent.to(p.dtype), ctx.axes, 1 / ctx.temperature)

    @staticmethod
    def vmap(info: Any, in_dims: Any, logits: Tensor, where: Tensor | None, *rest: Any) -> tuple[Tensor, int]:
        return _mapped(Softmax, info, in_dims, logits, where, *rest), 0


class LogSoftmax(Function):
    """logits, where, axes, temperature, dtype -> log probabilities."""

    @staticmethod
    def forward(logits: Tensor, where: Tensor | None, axes: Axes, temperature: float, dtype: torch.dtype) -> Tensor:
        return kernels.log_softmax(logits, where, axes, temperature, torch.empty_like(logits, dtype=dtype))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        logits, where, ctx.axes, ctx.temperature, _ = inputs
        ctx.save_for_backward(logits, where, output)
        ctx.save_for_forward(logits, where, output)

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor | None, ...]:
        logits, where, output = ctx.saved_tensors
        p = _probabilities(logits, where, ctx.axes, ctx.temperature)
        is_absent = output == -torch.inf  # -inf whatever the logits around: no slope
        g = cotangent.to(p.dtype).masked_fill(is_absent, 0.0)
        slope = (g - p * g.sum(ctx.axes, keepdim=True)) / ctx.temperature
        return slope.masked_fill(is_absent, 0.0).to(logits.dtype), None, None, None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Tensor:
        logits, where, output = ctx.saved_tensors
        p = _probabilities(logits, where, ctx.axes, ctx.temperature)
        is_absent = output == -torch.inf
        t = tangent.to(p.dtype).masked_fill(is_absent, 0.0)
        slope = (t - (p * t).sum(ctx.axes, keepdim=True)) / ctx.temperature
        return slope.masked_fill(is_absent, 0.0).to(output.dtype)

    @staticmethod
    def vmap(info: Any, in_dims: Any, logits: Tensor, where: Tensor | None, *rest: Any) -> tuple[Tensor, int]:
        return _mapped(LogSoftmax, info, in_dims, logits, where, *rest), 0


class LogSumExp(Function):
    """logits, where, axes, dtype -> log(sum(exp)) without the class axes."""

    @staticmethod
    def forward(logits: Tensor, where: Tensor | None, axes: Axes, dtype: torch.dtype) -> Tensor:
        return kernels.logsumexp(logits, where, axes, dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        logits, where, ctx.axes, ctx.dtype = inputs
        ctx.save_for_backward(logits, where)
        ctx.save_for_forward(logits, where)

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor | None, ...]:
        logits, where = ctx.saved_tensors
        p = _probabilities(logits, where, ctx.axes, 1.0)
        g = cotangent.to(p.dtype).reshape([1 if a in ctx.axes else n for a, n in enumerate(logits.shape)])
        return (g * p).to(logits.dtype), None, None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Tensor:
        logits, where = ctx.saved_tensors
        p = _probabilities(logits, where, ctx.axes, 1.0)
        return (p * tangent.to(p.dtype)).sum(ctx.axes).to(ctx.dtype)

    @staticmethod
    def vmap(info: Any, in_dims: Any, logits: Tensor, where: Tensor | None, *rest: Any) -> tuple[Tensor, int]:
        return _mapped(LogSumExp, info, in_dims, logits, where, *rest), 0


class SoftmaxProduct(Function):
    """probabilities, vector, axis, factor -> factor p (v - <p, v>): the Jacobian of softmax times a vector."""

    @staticmethod
    def forward(p: Tensor, vector: Tensor, axis: int, factor: float) -> Tensor:
        if kernels.is_batched(p, vector):
            return factor * formula.centred_product(TORCH, p, vector, axis)
        return kernels.softmax_product(p, vector, axis, factor)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        p, vector, ctx.axis, ctx.factor = inputs
        ctx.save_for_backward(p, vector)
        ctx.save_for_forward(p, vector)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor | None) -> tuple[Tensor | None, ...]:
        if cotangent is None:
            return None, None, None, None
        p, v = ctx.saved_tensors
        # The vector measured from its value at the largest p, as the kernel does.
        w = v - v.gather(ctx.axis, p.argmax(ctx.axis, keepdim=True))
        mean = (p * w).sum(ctx.axis, keepdim=True)
        of_p = ctx.factor * (cotangent * (w - mean) - w * (cotangent * p).sum(ctx.axis, keepdim=True))
        return of_p, SoftmaxProduct.apply(p, cotangent.to(p.dtype), ctx.axis, ctx.factor), None, None

    @staticmethod
    def jvp(ctx: Any, p_tangent: Tensor | None, v_tangent: Tensor | None, *_: None) -> Tensor:
        p, v = ctx.saved_tensors
        total = torch.zeros_like(p)
        if v_tangent is not None:
            total = total + SoftmaxProduct.apply(p, v_tangent.to(p.dtype), ctx.axis, ctx.factor)
        if p_tangent is not None:
            w = v - v.gather(ctx.axis, p.argmax(ctx.axis, keepdim=True))
            mean, change = ((q * w).sum(ctx.axis, keepdim=True) for q in (p, p_tangent))
            total = total + ctx.factor * (p_tangent * (w - mean) - p * change)
        return total

    @staticmethod
    def vmap(info: Any, in_dims: Any, p: Tensor, vector: Tensor, axis: int, factor: float) -> tuple[Tensor, int]:
        p, vector = (_in_front(x, dim, info.batch_size) for x, dim in zip((p, vector), in_dims[:2], strict=True))
        return SoftmaxProduct.apply(p, vector, axis + 1, factor), 0


class CrossEntropy(Function):
    """logits, targets, sample_weight, class_weight, options -> loss, states of the rows (N, 2), sums (2,).

    The states are what the gradient needs beside the logits: maximum and rest of every row. The sums are the weight of
    all rows and the power of two that is in all weights.
    """

    @staticmethod
    def forward(
        logits: Tensor, targets: Tensor, sample_weight: Tensor | None, class_weight: Tensor | None, options: LossOptions
    ) -> tuple[Tensor, Tensor, Tensor]:
        n_rows = logits.numel() // max(logits.shape[options.axis], 1)
        if logits.shape[options.axis] == 0:
            n_rows = targets.numel()
        states = torch.empty((n_rows, 2), dtype=torch.float64)
        loss, sums = kernels.cross_entropy(logits, targets, sample_weight, class_weight, options, states=states)
        return loss, states, torch.tensor([sums.weight, sums.scale], dtype=torch.float64)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        *tensors, ctx.options = inputs
        _, states, sums = output
        ctx.mark_non_differentiable(states, sums)
        ctx.save_for_backward(*tensors, states, sums)
        ctx.save_for_forward(*tensors, states, sums)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
        if upstream is None:
            return None, None, None, None, None
        logits, targets, sample_weight, class_weight, states, sums = ctx.saved_tensors
        rest = (targets, sample_weight, class_weight, ctx.options)
        return CrossEntropyGradient.apply(logits, upstream, states, sums, *rest), None, None, None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *others: Any) -> tuple[Tensor, None, None]:
        refuse_tangents(ctx.options.where, others[:3])
        logits, targets, sample_weight, class_weight, states, sums = ctx.saved_tensors
        wide = logits.to(loss_type(logits))
        rest = (targets, sample_weight, class_weight, ctx.options)
        return _slope(wide, tangent.to(wide.dtype), states, sums, *rest), None, None

    @staticmethod
    def vmap(
        info: Any,
        in_dims: Any,
        logits: Tensor,
        targets: Tensor,
        sample_weight: Tensor | None,
        class_weight: Tensor | None,
        options: LossOptions,
    ) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        """All examples in one pass, each with a loss of its own."""
        if in_dims[3] is not None:
            return one_by_one(CrossEntropy, info, in_dims, logits, targets, sample_weight, class_weight, options)
        front = [
            _in_front(x, dim, info.batch_size)
            for x, dim in zip((logits, targets, sample_weight), in_dims[:3], strict=True)
        ]
        rows = options._replace(axis=options.axis + 1, reduction="none")
        losses, states, _ = CrossEntropy.apply(*front, class_weight, rows)
        weights = _weight_sums(front, class_weight, rows)
        sums = torch.stack([weights, torch.ones_like(weights)], dim=1)
        return (_reduced(losses, weights, options), states.reshape(info.batch_size, -1, 2), sums), (0, 0, 0)


class CrossEntropyGradient(Function):
    """logits, upstream, states, sums, targets, sample_weight, class_weight, options -> upstream times the gradient."""

    @staticmethod
    def forward(*inputs: Any) -> Tensor:
        logits, upstream, states, sums, targets, sample_weight, class_weight, options = inputs
        rest = (targets, sample_weight, class_weight, options)
        weight, scale = sums.tolist()
        divisor = weight if options.reduction == "mean" else 1.0
        if not kernels.is_batched(upstream):
            return kernels.cross_entropy_gradient(logits, upstream, states, divisor, *rest, scale)
        ones = torch.ones(states.shape[0] if options.reduction == "none" else (), dtype=torch.float64)
        gradient = kernels.cross_entropy_gradient(logits, ones, states, divisor, *rest, scale)
        return gradient * (upstream.unsqueeze(options.axis) if options.reduction == "none" else upstream)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        *tensors, ctx.options = inputs
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor | None) -> tuple[Tensor | None, ...]:
        if cotangent is None:
            return (None,) * 8
        logits, upstream, states, sums, *rest = ctx.saved_tensors
        of_logits = _curvature(logits, cotangent, upstream, *rest, ctx.options)
        wide = logits.to(loss_type(logits))
        of_upstream = _slope(wide, cotangent.to(wide.dtype), states, sums, *rest, ctx.options)
        return of_logits, of_upstream.to(upstream.dtype), *[None] * 6

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor | None, upstream_tangent: Tensor | None, *others: Any) -> Tensor:
        refuse_tangents(ctx.options.where, others[2:5])
        logits, upstream, states, sums, *rest = ctx.saved_tensors
        total = torch.zeros_like(logits)
        if tangent is not None:
            total = total + _curvature(logits, tangent, upstream, *rest, ctx.options)
        if upstream_tangent is not None:
            total = total + CrossEntropyGradient.apply(logits, upstream_tangent, states, sums, *rest, ctx.options)
        return total

    @staticmethod
    def vmap(info: Any, in_dims: Any, *inputs: Any) -> tuple[Tensor, int]:
        if in_dims[6] is not None:
            (found,), dims = one_by_one(CrossEntropyGradient, info, in_dims, *inputs)
            return found, dims[0]
        logits, upstream, states, sums, targets, sample_weight = (
            _in_front(x, dim, info.batch_size) for x, dim in zip(inputs[:6], in_dims[:6], strict=True)
        )
        class_weight, options = inputs[6:]
        rows = options._replace(axis=options.axis + 1, reduction="none")
        shape = logits.shape[: rows.axis] + logits.shape[rows.axis + 1 :]
        if options.reduction != "none":
            if options.reduction == "mean":
                weight = sums[:, 0]
                upstream = upstream / torch.where(weight > 0, weight, 1.0)
            upstream = upstream.reshape(-1, *[1] * (len(shape) - 1)).expand(shape)
        plain = torch.ones(2, dtype=torch.float64)
        rest = (targets, sample_weight, class_weight, rows)
        return CrossEntropyGradient.apply(logits, upstream, states.reshape(-1, 2), plain, *rest), 0


# ---- softmax


def _probabilities(logits: Tensor, where: Tensor | None, axes: Axes, temperature: float) -> Tensor:
    """Return the probabilities in the type they are computed in."""
    p: Tensor = Softmax.apply(logits, where, axes, temperature, loss_type(logits))
    return p


def loss_type(logits: Tensor) -> torch.dtype:
    return torch.float64 if logits.dtype == torch.float64 else torch.float32


def _product(p: Tensor, vector: Tensor, axes: Axes, factor: float) -> Tensor:
    """Return factor p (v - <p, v>), several class axes counting as one."""
    if len(axes) == 1:
        product: Tensor = SoftmaxProduct.apply(p, vector.to(p.dtype), axes[0], factor)
        return product
    order = [a for a in range(p.ndim) if a not in axes] + list(axes)
    back = [order.index(a) for a in range(p.ndim)]
    moved = p.permute(order)
    n_rows = p.ndim - len(axes)
    joined = (*moved.shape[:n_rows], moved.shape[n_rows:].numel())
    flat = [x.permute(order).reshape(joined) for x in (p, vector.to(p.dtype))]
    return SoftmaxProduct.apply(*flat, n_rows, factor).reshape(moved.shape).permute(back)


def _mapped(
    function: Any, info: Any, in_dims: Any, logits: Tensor, where: Tensor | None, axes: Axes, *rest: Any
) -> Any:
    logits, where = (_in_front(x, dim, info.batch_size) for x, dim in zip((logits, where), in_dims[:2], strict=True))
    return function.apply(logits, where, tuple(a + 1 for a in axes), *rest)


def _in_front(x: Tensor | None, dim: int | None, batch_size: int) -> Any:
    """Return the tensor with the mapped axis in front; one that is not mapped is repeated, without a copy."""
    if x is None:
        return None
    return x.expand(batch_size, *x.shape) if dim is None else x.movedim(dim, 0)


def one_by_one(function: Any, info: Any, in_dims: Any, *inputs: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Call the function for every example: where one pass over all is not to be had."""
    found = []
    for i in range(info.batch_size):
        example = [
            x.select(dim, i) if isinstance(x, Tensor) and dim is not None else x
            for x, dim in zip(inputs, in_dims, strict=True)
        ]
        made = function.apply(*example)
        found.append(made if isinstance(made, tuple) else (made,))
    stacked = tuple(None if parts[0] is None else torch.stack(parts) for parts in zip(*found, strict=True))
    return stacked, tuple(None if part is None else 0 for part in stacked)


# ---- losses


def _weighed(logits: Tensor, targets: Tensor, sample_weight: Any, class_weight: Any, options: LossOptions) -> Any:
    rest = (targets, options.axis, sample_weight, class_weight, options.ignore_index)
    return formula.weighed(TORCH, logits, logits.shape[options.axis], *rest)


def _weight_sums(front: list[Tensor], class_weight: Tensor | None, options: LossOptions) -> Tensor:
    """Return the sum of the row weights of every example."""
    logits, targets, sample_weight = front
    omega: Tensor = _weighed(logits, targets, sample_weight, class_weight, options).omega
    return omega.reshape(omega.shape[0], -1).sum(1)


def _reduced(losses: Tensor, weights: Tensor, options: LossOptions) -> Tensor:
    if options.reduction == "none":
        return losses
    totals = losses.to(torch.float64)
    totals = totals.reshape(totals.shape[0], -1).sum(1)
    if options.reduction == "mean":
        totals = totals / torch.where(weights > 0, weights, 1.0) + torch.where(weights > 0, 0.0, torch.nan)
    return totals.to(losses.dtype)


def _slope(logits: Tensor, direction: Tensor, states: Tensor, sums: Tensor, *rest: Any) -> Tensor:
    """Return the product of the gradient of the loss and a direction, in the shape of the loss."""
    options: LossOptions = rest[-1]
    shape = logits.shape[: options.axis] + logits.shape[options.axis + 1 :] if options.reduction == "none" else ()
    ones = torch.ones(shape, dtype=logits.dtype)
    gradient: Tensor = CrossEntropyGradient.apply(logits, ones, states, sums, *rest)
    product = torch.where(gradient == 0, 0.0, gradient * direction)  # a row that is not there has no direction either
    return product.sum(options.axis) if options.reduction == "none" else product.sum()


def _curvature(logits: Tensor, direction: Tensor, upstream: Tensor, *rest: Any) -> Tensor:
    """Return upstream times the Hessian of the loss times a direction."""
    targets, sample_weight, class_weight, options = rest
    weighed = _weighed(logits, targets, sample_weight, class_weight, options)
    factor = formula.scale(TORCH, weighed, options.reduction) * upstream
    if weighed.index is None:
        q = weighed.shares.sum(options.axis)
        factor = factor * ((1 - options.label_smoothing) * q + options.label_smoothing)
    z = formula.live(TORCH, logits, weighed, options.axis)
    p = _probabilities(z, None, (options.axis,), 1.0)
    product = SoftmaxProduct.apply(p, direction.to(p.dtype), options.axis, 1.0)
    product = product * factor.to(p.dtype).unsqueeze(options.axis)
    return product.masked_fill(~weighed.is_live.unsqueeze(options.axis), 0.0).to(logits.dtype)


def refuse_tangents(where: str, tangents: Any) -> None:
    """Raise SC141 for targets or weights that move: nothing is known about their derivative."""
    for name, tangent in zip(("targets", "sample_weight", "class_weight"), tangents, strict=True):
        if tangent is not None:
            checks.raise_not_differentiable(where, name)
