"""CPU tensors to the compiled kernels and back, without copies: plain calls, which autograd does not see."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.utils import _python_dispatch

from softclass.functions import checks, formula
from softclass.functions.namespaces import TORCH
from softclass.kernels import cpu

PLAIN_TYPES = (Tensor, torch.nn.Parameter)
# How far the sum of a row of target probabilities may lie from 1: float16 and bfloat16 have coarse steps below 1.
SUM_TOLERANCE = {torch.float16: 2e-2, torch.bfloat16: 2e-2}


class LossOptions(NamedTuple):
    """Options of a loss that are no tensors."""

    where: str  # the public function, for messages
    axis: int
    ignore_index: int | None
    label_smoothing: float
    reduction: str


class LossSums(NamedTuple):
    """What one pass of a loss kernel leaves: sums over all rows."""

    loss: float
    weight: float
    scale: float  # the power of two in all weights


class _Rows(NamedTuple):
    """What a refused target is looked up in."""

    targets: Tensor
    n_classes: int
    weighing: tuple[Tensor, int, Tensor | None, Tensor | None]  # targets, axis, sample_weight, class_weight


# A kernel with all arguments but the scale of the weights -> sum of losses, of weights, first bad row, number of bad.
Run: TypeAlias = Callable[[float], tuple[float, float, int, int]]


def runs_kernels(*tensors: Tensor | None) -> bool:
    """Tell whether the kernels can read these tensors: eager, on the CPU, seen by no mode."""
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return False
    for tensor in tensors:
        if tensor is not None and not (
            type(tensor) in PLAIN_TYPES and tensor.is_cpu and tensor.layout is torch.strided
        ):
            return False
    return not _python_dispatch.is_in_torch_dispatch_mode()


def is_watched(*tensors: Tensor | None) -> bool:
    """Tell whether a derivative, or a transform of torch.func, may look at these tensors."""
    if torch._C._are_functorch_transforms_active() or torch.autograd.forward_ad._current_level >= 0:
        return True
    return torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in tensors)


def is_batched(*tensors: Tensor) -> bool:
    """Tell whether a tensor stands for many, as in `torch.autograd.grad(..., is_grads_batched=True)`.

    That old form of vmap does not ask a Function for its rule: it hands over stand-ins, which have no memory to view.
    """
    return any(torch._C._functorch.is_legacy_batchedtensor(tensor) for tensor in tensors)


def is_plain(upstream: Tensor) -> bool:
    """Tell whether a backward is an ordinary one: no graph of it is made, no transform looks at it."""
    return not torch.is_grad_enabled() and not is_watched(upstream) and not is_batched(upstream)


def view(tensor: Tensor | None) -> Any:
    """Return the memory of a tensor as a NumPy array; bfloat16 as its bits."""
    if tensor is None:
        return None
    if tensor.requires_grad:
        tensor = tensor.detach()
    if tensor.is_neg():
        tensor = tensor.resolve_neg()
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(np.uint16)
    return tensor.numpy()


def check_memory(where: str, out: Tensor, logits: Tensor) -> None:
    """Raise SC141 if `out` overlaps the logits without being them."""
    if out.data_ptr() == logits.data_ptr() and out.stride() == logits.stride() and out.dtype == logits.dtype:
        return
    written, read = view(out), view(logits)
    if not np.may_share_memory(written, read):
        return
    try:
        overlaps = np.shares_memory(written, read, max_work=10_000)  # type: ignore[arg-type]  # any number is taken
    except np.exceptions.TooHardError:
        overlaps = True
    if overlaps:
        checks.raise_overlap(where)


def _target_view(targets: Tensor) -> Any:
    """Return class indices in C order, target probabilities as they lie."""
    return view(targets if targets.is_floating_point() else targets.contiguous())


def softmax(logits: Tensor, where: Tensor | None, axes: Any, temperature: float, out: Tensor) -> Tensor:
    """Write the probabilities to `out`."""
    cpu.softmax(view(logits), view(out), axes, temperature, view(where), torch.get_num_threads())
    return out


def log_softmax(logits: Tensor, where: Tensor | None, axes: Any, temperature: float, out: Tensor) -> Tensor:
    """Write the logarithms of the probabilities to `out`."""
    cpu.log_softmax(view(logits), view(out), axes, temperature, view(where), torch.get_num_threads())
    return out


def logsumexp(logits: Tensor, where: Tensor | None, axes: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Return log(sum(exp)), without the class axes."""
    shape = [n for axis, n in enumerate(logits.shape) if axis not in axes]
    values = torch.empty(shape, dtype=torch.float64 if dtype == torch.float64 else torch.float32)
    cpu.logsumexp(view(logits), view(values), axes, view(where), torch.get_num_threads())
    return values.to(dtype)


def softmax_product(probabilities: Tensor, vector: Tensor, axis: int, factor: float) -> Tensor:
    """Return factor times p (v - <p, v>)."""
    out = torch.empty_like(probabilities)
    cpu.softmax_vjp(view(probabilities), view(vector), view(out), axis, factor, torch.get_num_threads())
    return out


def cross_entropy(
    logits: Tensor,
    targets: Tensor,
    sample_weight: Tensor | None,
    class_weight: Tensor | None,
    options: LossOptions,
    *,
    states: Tensor | None = None,
    gradient: Tensor | None = None,
) -> tuple[Tensor, LossSums]:
    """Return the loss and the sums; write the states of the rows, or the gradient, where they are given."""
    rows = logits.shape[: options.axis] + logits.shape[options.axis + 1 :]
    losses = torch.empty(rows, dtype=torch.float64) if options.reduction == "none" else None
    weights = _weight_arrays(options.where, sample_weight, class_weight)
    start = (view(logits), _target_view(targets), options.axis, *weights, options.ignore_index, options.label_smoothing)
    tolerance = SUM_TOLERANCE.get(targets.dtype, 1e-3)

    def run(scale: float) -> tuple[float, float, int, int]:
        if gradient is None:
            return _run(
                cpu.cross_entropy, *start, scale, tolerance, view(losses), view(states), torch.get_num_threads()
            )
        end = (options.reduction == "mean", view(losses), view(gradient), torch.get_num_threads())
        return _run(cpu.cross_entropy_and_gradient, *start, scale, tolerance, *end)

    rows_of = _Rows(targets, logits.shape[options.axis], (targets, options.axis, sample_weight, class_weight))
    sums = _checked(options, run, rows_of)
    return _loss(options, losses, sums, logits.dtype), sums


def cross_entropy_gradient(
    logits: Tensor,
    upstream: Tensor,
    states: Tensor,
    divisor: float,
    targets: Tensor,
    sample_weight: Tensor | None,
    class_weight: Tensor | None,
    options: LossOptions,
    scale: float,
) -> Tensor:
    """Return upstream times the gradient of the loss, from the states of its first pass."""
    gradient = torch.empty_like(logits)
    cpu.cross_entropy_gradient(
        view(logits),
        _target_view(targets),
        options.axis,
        None if sample_weight is None else view(sample_weight.contiguous()),
        view(class_weight),
        options.ignore_index,
        options.label_smoothing,
        scale,
        view(states.contiguous()),
        view(upstream.to(torch.float64).contiguous()),
        divisor if divisor > 0 else 1.0,
        view(gradient),
        torch.get_num_threads(),
    )
    return gradient


def linear_cross_entropy(
    features: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    sample_weight: Tensor | None,
    class_weight: Tensor | None,
    options: LossOptions,
    wanted: tuple[bool, bool, bool],
) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]:
    """Return the loss and the gradients at features, weight and bias that are wanted; of the sum for "none"."""
    losses = torch.empty(features.shape[0], dtype=torch.float64) if options.reduction == "none" else None
    weights = _weight_arrays(options.where, sample_weight, class_weight)
    places = [
        torch.empty(array.shape, dtype=array.dtype) if is_wanted and array is not None else None
        for array, is_wanted in zip((features, weight, bias), wanted, strict=True)
    ]
    start = (view(features), view(weight), view(bias), _target_view(targets), *weights)
    tolerance = SUM_TOLERANCE.get(targets.dtype, 1e-3)

    def run(scale: float) -> tuple[float, float, int, int]:
        return _run(
            cpu.linear_cross_entropy,
            *start,
            options.ignore_index,
            options.label_smoothing,
            scale,
            tolerance,
            options.reduction == "mean",
            view(losses),
            *(view(places[i]) for i in (1, 2, 0)),
            torch.get_num_threads(),
        )

    rows_of = _Rows(targets, weight.shape[0], (targets, -1, sample_weight, class_weight))
    sums = _checked(options, run, rows_of)
    return _loss(options, losses, sums, features.dtype), *places


def linear_cross_entropy_hvp(
    features: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    weight_tangent: Tensor,
    bias_tangent: Tensor | None,
    targets: Tensor,
    sample_weight: Tensor | None,
    class_weight: Tensor | None,
    options: LossOptions,
) -> tuple[Tensor, Tensor | None]:
    """Return the Hessian of the loss times a direction, for weight and bias."""
    weights = _weight_arrays(options.where, sample_weight, class_weight)
    of_weight = torch.empty(weight.shape, dtype=weight.dtype)
    of_bias = None if bias is None else torch.empty(bias.shape, dtype=bias.dtype)

    def run(scale: float) -> tuple[float, float, int, int]:
        return _run(
            cpu.linear_cross_entropy_hvp,
            *(view(array) for array in (features, weight, bias, weight_tangent, bias_tangent)),
            _target_view(targets),
            *weights,
            options.ignore_index,
            scale,
            SUM_TOLERANCE.get(targets.dtype, 1e-3),
            options.reduction == "mean",
            view(of_weight),
            view(of_bias),
            torch.get_num_threads(),
        )

    _checked(options, run, _Rows(targets, weight.shape[0], (targets, -1, sample_weight, class_weight)))
    return of_weight, of_bias


# ---- weights and targets: what no other line looks at


def _weight_arrays(where: str, sample_weight: Tensor | None, class_weight: Tensor | None) -> tuple[Any, Any]:
    """Return both weights as arrays, or raise SC142."""
    given = {"sample_weight": sample_weight, "class_weight": class_weight}
    arrays = {name: None if tensor is None else view(tensor.contiguous()) for name, tensor in given.items()}
    for name, array in arrays.items():
        if array is None:
            continue
        is_bad = ~((array >= 0) & (array < math.inf))
        if is_bad.any():
            first = int(is_bad.argmax())
            checks.raise_bad_weight(where, name, array.shape, first, float(array.flat[first]), int(is_bad.sum()))
        if array.size and not array.any():
            checks.raise_zero_weights(where, name, array.size)
    return arrays["sample_weight"], arrays["class_weight"]


def _run(kernel: Any, *arguments: Any) -> tuple[float, float, int, int]:
    found: tuple[float, float, int, int] = kernel(*arguments)
    return found


def _checked(options: LossOptions, run: Run, rows: _Rows) -> LossSums:
    """Run a kernel, raise for the targets that it refused, and run it again where the weights leave the range."""
    loss, weight, first_bad, n_bad = run(1.0)
    if first_bad >= 0:
        _raise_bad_target(options, rows.targets, rows.n_classes, first_bad, n_bad)
    if weight != math.inf and (options.reduction != "mean" or not 0 < weight < 1e-290):
        return LossSums(loss, weight, 1.0)
    omega = formula.weighed(TORCH, rows.targets, rows.n_classes, *rows.weighing, options.ignore_index).omega
    n_infinite = int(omega.isinf().sum())
    if n_infinite:
        checks.raise_infinite_row_weights(options.where, n_infinite, omega.numel())
    if options.reduction != "mean":
        return LossSums(loss, weight, 1.0)
    # Only the ratio of the weights counts: a power of two brings them back into range, exactly.
    scale = math.ldexp(1.0, min(1000, -math.frexp(float(omega.max()))[1]))
    loss, weight, _, _ = run(scale)
    return LossSums(loss, weight, scale)


def _raise_bad_target(options: LossOptions, targets: Tensor, n_classes: int, first_bad: int, n_bad: int) -> None:
    if not targets.is_floating_point():
        checks.raise_bad_index(options.where, view(targets), n_classes, first_bad, n_bad)
    rows = targets.detach().movedim(options.axis, -1)
    array = rows.reshape(-1, n_classes).to(torch.float64).numpy()
    checks.raise_bad_distribution(options.where, array, tuple(rows.shape[:-1]), first_bad, n_bad)


def _loss(options: LossOptions, losses: Tensor | None, sums: LossSums, dtype: torch.dtype) -> Tensor:
    """Put the losses together in the type that losses have."""
    dtype = torch.float64 if dtype == torch.float64 else torch.float32
    if losses is not None:
        return losses.to(dtype)
    total = sums.loss
    if options.reduction == "mean":
        total = total / sums.weight if sums.weight > 0 else math.nan
    return torch.tensor(total, dtype=dtype)
