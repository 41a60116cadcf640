"""PyTorch: every derivative and transform of every function, edges, types; never a silent 0."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from asserts import assert_bit_equal, assert_close, assert_ulp
from softclass.errors import OptionError, TargetError
from softclass.functions.cross_entropy import cross_entropy
from softclass.functions.derivatives import (
    cross_entropy_hvp,
    cross_entropy_value_and_gradient,
    linear_cross_entropy_hvp,
    linear_cross_entropy_value_and_gradient,
    softmax_jacobian,
    softmax_jvp,
    softmax_vjp,
)
from softclass.functions.linear_cross_entropy import linear_cross_entropy
from softclass.functions.softmax import log_softmax, logsumexp, softmax

torch = pytest.importorskip("torch", reason="these are the functions on tensors")
# Forward mode loads parts of torch.jit on first use; vmap says where it falls back to a loop.
pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning"),
]

F64 = torch.float64
inf, nan = math.inf, math.nan


def drawn(*shape: int, seed: int = 0, dtype: Any = F64) -> Any:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


TARGETS = torch.tensor([0, 1, 4, 2])
SHARES = torch.softmax(drawn(4, 5, seed=1), -1)
SAMPLE = torch.tensor([1.0, 0.0, 2.0, 0.5])
CLASS = torch.tensor([0.5, 1.0, 2.0, 1.0, 3.0])
THERE = torch.tensor([True, False, True, True, True])
Z, Z3 = drawn(4, 5), drawn(2, 3, 2)
BUFFER = drawn(5, 5)
LINEAR = (drawn(4, 3, seed=2), drawn(5, 3, seed=3), drawn(5, seed=4))
OPTIONS = {"sample_weight": SAMPLE, "class_weight": CLASS, "ignore_index": 4, "label_smoothing": 0.1}


def finite(values: Any) -> Any:
    """Put 0 where a class is absent: its log probability is -inf, whatever moves."""
    return torch.where(values == -inf, 0.0, values)


# Every function, as one of its tensors with a derivative.
FUNCTIONS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "softmax": (lambda z: softmax(z, temperature=1.3), (Z,)),
    "softmax of some classes": (lambda z: softmax(z, where=THERE), (Z,)),
    "softmax over two axes": (lambda z: softmax(z, axis=(0, 2)), (Z3,)),
    "log_softmax": (lambda z: log_softmax(z, axis=0, temperature=1.7), (Z,)),
    "log_softmax of some classes": (lambda z: finite(log_softmax(z, where=THERE)), (Z,)),
    "logsumexp": (lambda z: logsumexp(z, axis=None, keepdims=True), (Z,)),
    "mean loss": (lambda z: cross_entropy(z, TARGETS, **OPTIONS), (Z,)),
    "losses": (lambda z: cross_entropy(z.T, TARGETS, axis=0, reduction="none"), (Z,)),
    "soft loss": (lambda z: cross_entropy(z, SHARES, class_weight=CLASS, label_smoothing=0.2, reduction="sum"), (Z,)),
    "linear loss": (lambda x, w, b: linear_cross_entropy(x, w, TARGETS, bias=b, **OPTIONS), LINEAR),
    "linear losses": (
        lambda x, w, b: linear_cross_entropy(x, w, SHARES, bias=b, sample_weight=SAMPLE, reduction="none"),
        LINEAR,
    ),
    "linear loss of one weight": (lambda w: linear_cross_entropy(LINEAR[0], w, TARGETS, reduction="sum"), LINEAR[1:2]),
}
each_function = pytest.mark.parametrize("name", FUNCTIONS)


def total(name: str) -> Callable[..., Any]:
    """Return the function, reduced to one number that every entry takes part in."""
    function, _ = FUNCTIONS[name]

    def summed(*arrays: Any) -> Any:
        found = function(*arrays)
        return (found * torch.arange(1, found.numel() + 1, dtype=found.dtype).reshape(found.shape).cos()).sum()

    return summed


def dense(name: str) -> Callable[..., Any]:
    """Return the same by PyTorch's own functions, which keep the logits and know nothing of rows that are absent."""

    def loss(z: Any, targets: Any, weights: Any, smoothing: float) -> Any:
        q = torch.nn.functional.one_hot(targets, 5).to(F64) if targets.ndim == 1 else targets
        return -weights * ((q * (1 - smoothing) + smoothing / 5) * torch.log_softmax(z, -1)).sum(-1)

    omega = torch.where(TARGETS == 4, 0.0, SAMPLE * CLASS[TARGETS]).to(F64)
    soft = (SHARES * CLASS).sum(-1)
    ones = torch.ones(4, dtype=F64)
    plain: dict[str, Callable[..., Any]] = {
        "softmax": lambda z: torch.softmax(z / 1.3, -1),
        "softmax of some classes": lambda z: torch.softmax(z.masked_fill(~THERE, -inf), -1),
        "softmax over two axes": lambda z: (
            torch.softmax(z.permute(1, 0, 2).reshape(3, 4), -1).reshape(3, 2, 2).permute(1, 0, 2)
        ),
        "log_softmax": lambda z: torch.log_softmax(z / 1.7, 0),
        "log_softmax of some classes": lambda z: finite(torch.log_softmax(z.masked_fill(~THERE, -1e300), -1)),
        "logsumexp": lambda z: torch.logsumexp(z, (0, 1), keepdim=True),
        "mean loss": lambda z: loss(z, TARGETS, omega, 0.1).sum() / omega.sum(),
        "losses": lambda z: loss(z, TARGETS, ones, 0.0),
        "soft loss": lambda z: loss(z, SHARES, soft, 0.2).sum(),
        "linear loss": lambda x, w, b: loss(x @ w.T + b, TARGETS, omega, 0.1).sum() / omega.sum(),
        "linear losses": lambda x, w, b: loss(x @ w.T + b, SHARES, SAMPLE.to(F64), 0.0),
        "linear loss of one weight": lambda w: loss(LINEAR[0] @ w.T, TARGETS, ones, 0.0).sum(),
    }

    def summed(*arrays: Any) -> Any:
        found = plain[name](*arrays)
        if name == "log_softmax of some classes":
            found = found * THERE
        return (found * torch.arange(1, found.numel() + 1, dtype=found.dtype).reshape(found.shape).cos()).sum()

    return summed


def assert_tensors_close(expected: Any, found: Any, *, tolerance: float = 1e-9) -> None:
    for left, right in zip(
        torch.utils._pytree.tree_leaves(expected), torch.utils._pytree.tree_leaves(found), strict=True
    ):
        assert_close(left.numpy(), right.numpy(), rtol=tolerance, atol=tolerance)


@each_function
def test_gradients_of_the_first_order(name: str) -> None:
    function, arrays = FUNCTIONS[name]
    arrays = tuple(array.clone().requires_grad_() for array in arrays)

    assert torch.autograd.gradcheck(
        function, arrays, check_forward_ad=True, check_batched_grad=True, check_batched_forward_grad=True
    )


@each_function
def test_gradients_of_the_second_order(name: str) -> None:
    function, arrays = FUNCTIONS[name]
    arrays = tuple(array.clone().requires_grad_() for array in arrays)

    assert torch.autograd.gradgradcheck(function, arrays, check_fwd_over_rev=True)


@each_function
def test_the_gradient_is_that_of_the_dense_formula(name: str) -> None:
    arrays = FUNCTIONS[name][1]
    places = tuple(range(len(arrays)))

    assert_tensors_close(torch.func.grad(dense(name), places)(*arrays), torch.func.grad(total(name), places)(*arrays))


@each_function
def test_the_hessian_is_that_of_the_dense_formula(name: str) -> None:
    arrays = FUNCTIONS[name][1]
    places = tuple(range(len(arrays)))

    assert_tensors_close(
        torch.func.hessian(dense(name), places)(*arrays), torch.func.hessian(total(name), places)(*arrays)
    )


@each_function
def test_forward_mode_is_that_of_the_dense_formula_and_not_0(name: str) -> None:
    arrays = FUNCTIONS[name][1]
    tangents = tuple(drawn(*array.shape, seed=7) for array in arrays)

    _, expected = torch.func.jvp(dense(name), arrays, tangents)
    _, found = torch.func.jvp(total(name), arrays, tangents)

    assert_tensors_close(expected, found)
    assert abs(float(found)) > 1e-3


@each_function
@pytest.mark.parametrize("transform", ["values", "gradients", "forward", "gradient of vmap"])
def test_vmap(name: str, transform: str) -> None:
    arrays = tuple(torch.stack([array, 2 * array, array - 1], dim=1) for array in FUNCTIONS[name][1])
    places = tuple(range(len(arrays)))
    transforms: dict[str, Callable[..., Any]] = {
        "values": lambda f: torch.vmap(f, in_dims=1),
        "gradients": lambda f: torch.vmap(torch.func.grad(f, places), in_dims=1),
        "forward": lambda f: torch.vmap(torch.func.jacfwd(f, places), in_dims=1),
        "gradient of vmap": lambda f: torch.func.grad(lambda *many: torch.vmap(f, in_dims=1)(*many).sum(), places),
    }

    assert_tensors_close(transforms[transform](dense(name))(*arrays), transforms[transform](total(name))(*arrays))


def test_vmap_over_targets_and_weights() -> None:
    targets = torch.stack([TARGETS, TARGETS.flip(0)])
    weights = torch.stack([CLASS, CLASS.flip(0)])

    found = torch.vmap(lambda t, w: cross_entropy(Z, t, class_weight=w))(targets, weights)
    one_by_one = [cross_entropy(Z, t, class_weight=w) for t, w in zip(targets, weights, strict=True)]

    assert_tensors_close(torch.stack(one_by_one), found)


# ---- inside torch.compile
COMPILED = ["softmax", "log_softmax of some classes", "mean loss", "linear loss"]


@pytest.mark.parametrize("name", COMPILED)
def test_compiled_whole_with_forward_mode_inside(name: str) -> None:
    """The formula is used there: an autograd.Function would give a tangent of 0.0 without an error."""
    arrays, function = FUNCTIONS[name][1], total(name)
    tangents = tuple(drawn(*array.shape, seed=7) for array in arrays)
    torch._dynamo.reset()

    compiled = torch.compile(lambda a, t: torch.func.jvp(function, a, t), fullgraph=True, backend="eager")
    value, tangent = compiled(arrays, tangents)

    expected_value, expected = torch.func.jvp(function, arrays, tangents)
    assert_tensors_close((expected_value, expected), (value, tangent))
    assert abs(float(tangent)) > 1e-3


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.torch._prims_common.check. is deprecated:FutureWarning")  # inductor's own lowering
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
@each_function
def test_compiled_value_gradient_hessian_and_tangent(name: str, backend: str) -> None:
    arrays, function = FUNCTIONS[name][1], total(name)
    places = tuple(range(len(arrays)))
    tangents = tuple(drawn(*array.shape, seed=7) for array in arrays)
    transforms = {
        "value": (function, arrays),
        "gradient": (torch.func.grad(function, places), arrays),
        "hessian": (torch.func.hessian(function, places), arrays),
        "tangent": (lambda *both: torch.func.jvp(function, both[0], both[1])[1], (arrays, tangents)),
    }

    for transform, given in transforms.values():
        torch._dynamo.reset()
        found = torch.compile(transform, fullgraph=True, backend=backend)(*given)
        assert_tensors_close(transform(*given), found)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.torch._prims_common.check. is deprecated:FutureWarning")
def test_compiled_by_inductor_with_autograd_outside() -> None:
    torch._dynamo.reset()
    z = Z.to(torch.float32, copy=True).requires_grad_()
    compiled = torch.compile(lambda z: cross_entropy(z, TARGETS, label_smoothing=0.1), fullgraph=True)

    loss = compiled(z)
    (gradient,) = torch.autograd.grad(loss, z)

    expected, expected_gradient = cross_entropy_value_and_gradient(z.detach(), TARGETS, label_smoothing=0.1)
    assert_close(float(expected), float(loss.detach()), rtol=5e-7, atol=0)  # 4 roundings
    assert_close(expected_gradient.numpy(), gradient.numpy(), rtol=2e-6, atol=1e-8)  # p - q cancels


def test_compiled_code_never_reads_an_ignored_row() -> None:
    torch._dynamo.reset()
    z = Z.clone()
    z[1] = nan
    compiled = torch.compile(
        lambda z: torch.func.grad_and_value(lambda z: cross_entropy(z, TARGETS, ignore_index=1))(z),
        fullgraph=True,
        backend="aot_eager",
    )

    gradient, value = compiled(z)

    assert_close(float(cross_entropy(Z[[0, 2, 3]], TARGETS[[0, 2, 3]])), float(value), rtol=1e-14, atol=0)
    assert gradient[1].tolist() == [0.0] * 5
    assert bool(gradient.isfinite().all())


# ---- autograd habits
def test_backward_twice_with_a_graph_that_is_kept() -> None:
    x, w, b = (array.clone().requires_grad_() for array in LINEAR)
    loss = linear_cross_entropy(x, w, TARGETS, bias=b)

    first = torch.autograd.grad(loss, (x, w, b), retain_graph=True)
    again = torch.autograd.grad(3 * loss, (x, w, b))

    assert_tensors_close([3 * gradient for gradient in first], again, tolerance=1e-14)


def test_an_evaluation_makes_no_gradient() -> None:
    with torch.no_grad():
        loss = linear_cross_entropy(LINEAR[0], LINEAR[1].clone().requires_grad_(), TARGETS)

    assert not loss.requires_grad


def test_the_upstream_number_may_be_negative_in_every_row() -> None:
    w = LINEAR[1].clone().requires_grad_()
    upstream = torch.tensor([1.0, -2.0, 0.0, 0.5], dtype=F64)

    (found,) = torch.autograd.grad(linear_cross_entropy(LINEAR[0], w, TARGETS, reduction="none"), w, upstream)
    logits = (LINEAR[0] @ w.T).detach().requires_grad_()
    (slope,) = torch.autograd.grad(cross_entropy(logits, TARGETS, reduction="none"), logits, upstream)

    assert_tensors_close(slope.T @ LINEAR[0], found, tolerance=1e-13)


def test_autocast_takes_what_comes() -> None:
    z = Z.to(torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert softmax(z).dtype == torch.bfloat16
        assert cross_entropy(z, TARGETS).dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_types_of_results(dtype: Any) -> None:
    z = Z.to(dtype, copy=True).requires_grad_()
    wide = torch.float64 if dtype == torch.float64 else torch.float32

    loss = cross_entropy(z, TARGETS)
    loss.backward()

    assert [softmax(z).dtype, log_softmax(z).dtype, z.grad.dtype] == [dtype] * 3
    assert [logsumexp(z).dtype, loss.dtype] == [wide] * 2
    assert softmax(z, dtype=torch.float64).dtype == torch.float64


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_gradients_in_half_precision_are_rounded_once(dtype: Any) -> None:
    z = Z.to(dtype, copy=True).requires_grad_()
    exact = z.detach().to(F64, copy=True).requires_grad_()

    cross_entropy(z, TARGETS, label_smoothing=0.1).backward()
    cross_entropy(exact, TARGETS, label_smoothing=0.1).backward()

    assert_close(exact.grad.to(dtype).to(F64).numpy(), z.grad.to(F64).numpy(), rtol=2.0**-7, atol=0)  # one step


@pytest.mark.parametrize("kind", ["int8", "uint8", "int16", "int32", "int64"])
def test_targets_of_any_integer_type(kind: str) -> None:
    targets = TARGETS.to(getattr(torch, kind))

    assert_bit_equal(cross_entropy(Z, TARGETS).numpy(), cross_entropy(Z, targets).numpy())


def test_layouts_give_equal_numbers() -> None:
    wide = drawn(8, 10, dtype=torch.float32)
    strided, contiguous = wide[::2, ::2], wide[::2, ::2].contiguous()
    expanded = wide[:1].expand(4, 10)

    assert_bit_equal(softmax(contiguous).numpy(), softmax(strided).numpy())
    assert_bit_equal(softmax(expanded.contiguous()).numpy(), softmax(expanded).numpy())
    assert softmax(contiguous.T).stride() == contiguous.T.stride()


def test_out_outside_autograd() -> None:
    z = Z.clone()
    out = torch.empty_like(z)

    assert softmax(z, out=out) is out
    assert_bit_equal(softmax(Z).numpy(), out.numpy())
    assert softmax(z, out=z) is z
    assert_bit_equal(out.numpy(), z.numpy())


REFUSED: dict[str, Callable[[], Any]] = {
    "out that overlaps partly": lambda: softmax(BUFFER[:4], out=BUFFER[1:]),
    "gradient that overlaps partly": lambda: cross_entropy_value_and_gradient(BUFFER[1:], TARGETS, out=BUFFER[:4]),
    "out": lambda: softmax(Z.clone().requires_grad_(), out=torch.empty_like(Z)),
    "temperature": lambda: softmax(Z, temperature=torch.tensor(2.0, requires_grad=True)),
    "targets": lambda: cross_entropy(Z, SHARES.clone().requires_grad_()),
    "sample_weight": lambda: cross_entropy(Z, TARGETS, sample_weight=SAMPLE.clone().requires_grad_()),
    "class_weight": lambda: linear_cross_entropy(
        LINEAR[0], LINEAR[1], TARGETS, class_weight=CLASS.clone().requires_grad_()
    ),
    "sample_weight in forward mode": lambda: torch.func.jvp(
        lambda s: cross_entropy(Z, TARGETS, sample_weight=s), (SAMPLE,), (SAMPLE,)
    ),
    "class_weight under grad": lambda: torch.func.grad(lambda c: cross_entropy(Z, TARGETS, class_weight=c))(CLASS),
    "class_weight in forward mode": lambda: torch.func.jvp(
        lambda c: linear_cross_entropy(*LINEAR[:2], TARGETS, class_weight=c), (CLASS,), (CLASS,)
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_derivative_is_refused(name: str) -> None:
    with pytest.raises(OptionError, match=re.escape("[SC141]")):
        REFUSED[name]()


# ---- edges, and what PyTorch's own functions answer
def test_a_bad_index_is_named() -> None:
    message = "[SC121] cross_entropy: `targets` must lie in [0, 5); got 7 at index 2 (1 of 4 are outside)"
    with pytest.raises(TargetError, match=re.escape(message)):
        cross_entropy(Z.clone().requires_grad_(), torch.tensor([0, 1, 7, 2]))
    with pytest.raises(TargetError, match=re.escape("[SC121] linear_cross_entropy")):
        linear_cross_entropy(*LINEAR[:2], torch.tensor([0, 1, -3, 2]))


def test_a_row_that_is_no_distribution_is_named() -> None:
    with pytest.raises(TargetError, match=re.escape("[SC122] cross_entropy")):
        cross_entropy(Z, 2 * SHARES)


@pytest.mark.parametrize("weight", [[1.0, -1.0, 1.0, 1.0], [0.0] * 4, [nan, 1.0, 1.0, 1.0]])
def test_bad_weights_are_named(weight: list[float]) -> None:
    with pytest.raises(OptionError, match=re.escape("[SC142] cross_entropy: `sample_weight`")):
        cross_entropy(Z, TARGETS, sample_weight=torch.tensor(weight))


@pytest.mark.parametrize("garbage", [nan, inf, -inf])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_an_ignored_row_has_no_influence(garbage: float, reduction: str) -> None:
    """PyTorch gives it a gradient of NaN (pytorch#11551)."""
    z = Z.clone()
    z[1] = garbage
    z.requires_grad_()
    loss = cross_entropy(z, TARGETS, ignore_index=1, reduction=reduction)
    loss.sum().backward()

    clean = Z.clone().requires_grad_()
    expected = cross_entropy(clean, TARGETS, ignore_index=1, reduction=reduction)
    expected.sum().backward()

    assert_bit_equal(expected.detach().numpy(), loss.detach().numpy())
    assert_bit_equal(clean.grad.numpy(), z.grad.numpy())
    assert z.grad[1].tolist() == [0.0] * 5


def test_an_ignored_row_of_features_has_no_influence() -> None:
    x, w, _ = (array.clone() for array in LINEAR)
    x[1] = inf
    w.requires_grad_()
    x.requires_grad_()

    linear_cross_entropy(x, w, TARGETS, ignore_index=1).backward()

    clean = w.detach().clone().requires_grad_()
    linear_cross_entropy(LINEAR[0][[0, 2, 3]], clean, TARGETS[[0, 2, 3]]).backward()
    assert_tensors_close(clean.grad, w.grad, tolerance=1e-13)
    assert x.grad[1].tolist() == [0.0] * 3


def test_second_derivatives_at_an_ignored_row_of_nan_are_0() -> None:
    z = Z.clone()
    z[1] = nan

    hessian = torch.func.hessian(lambda z: cross_entropy(z, TARGETS, ignore_index=1))(z)

    assert bool(hessian.isfinite().all())
    assert float(hessian[1].abs().sum()) == 0.0


def test_a_batch_of_padding_has_a_mean_of_nan_and_a_gradient_of_0() -> None:
    z = Z.clone().requires_grad_()

    loss = cross_entropy(z, torch.full((4,), -100), ignore_index=-100)
    loss.backward()

    assert math.isnan(loss.item())
    assert_bit_equal(np.zeros((4, 5)), z.grad.numpy())


def test_a_confident_answer_keeps_its_loss_and_gradient() -> None:
    """PyTorch: loss 0.0, gradient [0, 2.06e-9, 2.06e-9]."""
    z = torch.tensor([[0.0, -20.0, -20.0]], requires_grad=True)

    loss = cross_entropy(z, torch.tensor([0]))
    loss.backward()

    assert_ulp(np.array(4.1223072363e-09), loss.detach().numpy(), ulps=1.5)
    assert_ulp(np.array([-4.1223072278e-09, 2.0611536e-09, 2.0611536e-09]), z.grad.numpy()[0], ulps=3.5)


def test_one_infinite_logit_has_a_finite_gradient() -> None:
    z = torch.tensor([[inf, 1.0, 2.0]], requires_grad=True)

    loss = cross_entropy(z, torch.tensor([1]))
    loss.backward()

    assert loss.item() == inf
    assert z.grad.tolist() == [[1.0, -1.0, 0.0]]


def test_a_soft_target_of_0_at_an_absent_class() -> None:
    """PyTorch: NaN."""
    logits, targets = torch.tensor([[0.0, 1.0, -inf]]), torch.tensor([[0.5, 0.5, 0.0]])

    assert_ulp(np.array(0.81326168751822), cross_entropy(logits, targets).numpy(), ulps=1.5)


# ---- value and gradient, products
def test_products_with_the_jacobian() -> None:
    p = softmax(Z)
    v = drawn(4, 5, seed=5)
    jacobian = softmax_jacobian(p)
    expected = torch.einsum("nij,nj->ni", torch.diag_embed(p) - p[:, :, None] * p[:, None, :], v)

    assert_tensors_close(torch.diag_embed(p) - p[:, :, None] * p[:, None, :], jacobian, tolerance=1e-14)
    assert_tensors_close(expected, softmax_vjp(p, v), tolerance=1e-14)
    assert_tensors_close(expected, softmax_jvp(p, v), tolerance=1e-14)


def test_value_and_gradient_can_be_differentiated_again() -> None:
    z = Z.clone().requires_grad_()
    v = drawn(4, 5, seed=5)

    loss, gradient = cross_entropy_value_and_gradient(z, TARGETS, **OPTIONS)
    (product,) = torch.autograd.grad((gradient * v).sum(), z, retain_graph=True)
    (slope,) = torch.autograd.grad(loss, z)

    assert_tensors_close(gradient.detach(), slope, tolerance=1e-14)
    assert_tensors_close(cross_entropy_hvp(Z, TARGETS, v, **OPTIONS), product, tolerance=1e-13)


def test_linear_value_and_gradient_and_hvp() -> None:
    x, w, b = (array.clone().requires_grad_() for array in LINEAR)
    tangents = drawn(5, 3, seed=8), drawn(5, seed=9)
    wrt = ("weight", "bias", "features")

    loss, made = linear_cross_entropy_value_and_gradient(*LINEAR[:2], TARGETS, bias=LINEAR[2], **OPTIONS, wrt=wrt)
    products = linear_cross_entropy_hvp(
        *LINEAR[:2], TARGETS, tangents[0], bias=LINEAR[2], bias_tangent=tangents[1], **OPTIONS
    )
    expected_loss = linear_cross_entropy(x, w, TARGETS, bias=b, **OPTIONS)
    expected = torch.autograd.grad(expected_loss, (w, b, x), create_graph=True)
    direction = (expected[0] * tangents[0]).sum() + (expected[1] * tangents[1]).sum()
    expected_products = torch.autograd.grad(direction, (w, b))

    assert_tensors_close(expected_loss.detach(), loss, tolerance=1e-14)
    assert_tensors_close([g.detach() for g in expected], [made.weight, made.bias, made.features], tolerance=1e-13)
    assert_tensors_close(expected_products, [products.weight, products.bias], tolerance=1e-13)
