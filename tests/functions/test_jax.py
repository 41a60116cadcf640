"""JAX: jit, grad, jvp, hessian and vmap of every function, with float64 switched on and off; never a silent 0."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from asserts import assert_bit_equal, assert_close, assert_ulp
from softclass.errors import OptionError, TargetError
from softclass.functions.cross_entropy import cross_entropy
from softclass.functions.derivatives import cross_entropy_hvp, cross_entropy_value_and_gradient, softmax_vjp
from softclass.functions.linear_cross_entropy import linear_cross_entropy
from softclass.functions.softmax import log_softmax, logsumexp, softmax

jax = pytest.importorskip("jax", reason="these are the functions on JAX arrays")
jnp = jax.numpy

inf, nan = math.inf, math.nan
draw = np.random.default_rng(0)
Z, Z3 = (jnp.asarray(draw.normal(size=shape).astype(np.float32)) for shape in ((4, 5), (2, 3, 2)))
LINEAR = tuple(jnp.asarray(draw.normal(size=shape).astype(np.float32)) for shape in ((4, 3), (5, 3), (5,)))
SHARES = jnp.asarray(draw.dirichlet(np.ones(5), size=4).astype(np.float32))
TARGETS = jnp.array([0, 1, 4, 2])
SAMPLE, CLASS = jnp.array([1.0, 0.0, 2.0, 0.5]), jnp.array([0.5, 1.0, 2.0, 1.0, 3.0])
THERE = jnp.array([True, False, True, True, True])
OMEGA = jnp.where(TARGETS == 4, 0.0, SAMPLE * CLASS[TARGETS])
OPTIONS = {"sample_weight": SAMPLE, "class_weight": CLASS, "ignore_index": 4, "label_smoothing": 0.1}


def finite(values: Any) -> Any:
    """Put 0 where a class is absent: its log probability is -inf, whatever moves."""
    return jnp.where(values == -inf, 0.0, values)


def plain_loss(z: Any, targets: Any, weights: Any, smoothing: float) -> Any:
    q = jax.nn.one_hot(targets, 5) if targets.ndim == 1 else targets
    return -weights * ((q * (1 - smoothing) + smoothing / 5) * jax.nn.log_softmax(z)).sum(-1)


# Every function as one of its arrays, beside the same by JAX's own functions.
FUNCTIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any], tuple[Any, ...]]] = {
    "softmax": (lambda z: softmax(z, temperature=1.3), lambda z: jax.nn.softmax(z / 1.3), (Z,)),
    "softmax of some classes": (
        lambda z: softmax(z, where=THERE),
        lambda z: jax.nn.softmax(z, where=THERE),
        (Z,),
    ),
    "softmax over two axes": (lambda z: softmax(z, axis=(0, 2)), lambda z: jax.nn.softmax(z, axis=(0, 2)), (Z3,)),
    "log_softmax": (lambda z: log_softmax(z, axis=0), lambda z: jax.nn.log_softmax(z, axis=0), (Z,)),
    "log_softmax of some classes": (
        lambda z: finite(log_softmax(z, where=THERE)),
        lambda z: jnp.where(THERE, jax.nn.log_softmax(jnp.where(THERE, z, -1e30)), 0.0),
        (Z,),
    ),
    "logsumexp": (lambda z: logsumexp(z, axis=None), lambda z: jax.nn.logsumexp(z), (Z,)),
    "mean loss": (
        lambda z: cross_entropy(z, TARGETS, **OPTIONS),
        lambda z: plain_loss(z, TARGETS, OMEGA, 0.1).sum() / OMEGA.sum(),
        (Z,),
    ),
    "soft losses": (
        lambda z: cross_entropy(z.T, SHARES.T, axis=0, class_weight=CLASS, reduction="none"),
        lambda z: plain_loss(z, SHARES, SHARES @ CLASS, 0.0),
        (Z,),
    ),
    "linear loss": (
        lambda x, w, b: linear_cross_entropy(x, w, TARGETS, bias=b, reduction="sum"),
        lambda x, w, b: plain_loss(x @ w.T + b, TARGETS, 1.0, 0.0).sum(),
        LINEAR,
    ),
}
each_function = pytest.mark.parametrize("name", FUNCTIONS)
# A second derivative or a batch takes a second to compile: the others of the same rules run at night.
EVERY_RUN = ("softmax", "log_softmax of some classes", "mean loss", "linear loss")
each_rule = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name not in EVERY_RUN)) for name in FUNCTIONS]
)


def summed(function: Callable[..., Any]) -> Callable[..., Any]:
    def total(*arrays: Any) -> Any:
        found = function(*arrays)
        return (found * jnp.cos(jnp.arange(found.size, dtype=found.dtype) + 1).reshape(found.shape)).sum()

    return total


def assert_arrays_close(expected: Any, found: Any) -> None:
    for left, right in zip(jax.tree.leaves(expected), jax.tree.leaves(found), strict=True):
        assert_close(np.asarray(left), np.asarray(right), rtol=2e-5, atol=2e-6)  # float32 on both sides


@pytest.mark.parametrize("compiled", [pytest.param(False, marks=pytest.mark.slow), True], ids=["eager", "jit"])
@each_function
def test_value_and_gradient(name: str, compiled: bool) -> None:
    ours, theirs, arrays = FUNCTIONS[name]
    places = tuple(range(len(arrays)))
    derivative = jax.value_and_grad(summed(ours), places)

    found = (jax.jit(derivative) if compiled else derivative)(*arrays)

    assert_arrays_close(jax.value_and_grad(summed(theirs), places)(*arrays), found)


@each_rule
def test_hessian_and_forward_mode(name: str) -> None:
    ours, theirs, arrays = FUNCTIONS[name]
    places = tuple(range(len(arrays)))
    _, tangent = jax.jvp(jax.jit(summed(ours)), arrays, arrays)

    assert_arrays_close(
        jax.jit(jax.hessian(summed(theirs), places))(*arrays), jax.jit(jax.hessian(summed(ours), places))(*arrays)
    )
    assert_arrays_close(jax.jvp(summed(theirs), arrays, arrays)[1], tangent)


@each_rule
def test_vmap(name: str) -> None:
    ours, theirs, arrays = FUNCTIONS[name]
    places = tuple(range(len(arrays)))
    many = tuple(jnp.stack([array, 2 * array, array - 1], axis=1) for array in arrays)

    found = jax.jit(jax.vmap(jax.value_and_grad(summed(ours), places), in_axes=1))(*many)

    assert_arrays_close(jax.vmap(jax.value_and_grad(summed(theirs), places), in_axes=1)(*many), found)


@pytest.mark.slow
def test_float64_and_third_order_in_a_process_of_its_own() -> None:
    script = """
import jax
jax.config.update("jax_enable_x64", True)
import jax.numpy as jnp, numpy as np
from jax.test_util import check_grads
import softclass
z = jnp.asarray(np.random.default_rng(0).normal(size=(3, 4)))
t = jnp.array([0, 3, 1])
assert softclass.softmax(z).dtype == jnp.float64
assert softclass.softmax(jnp.array([1, 2])).dtype == jnp.float64
assert abs(float(softclass.log_softmax(jnp.array([0.0, -40, -40]))[0]) + 8.496708e-18) < 1e-23
for f in (lambda z: softclass.softmax(jnp.asarray(z)), lambda z: softclass.log_softmax(jnp.asarray(z)),
          lambda z: softclass.cross_entropy(jnp.asarray(z), t, label_smoothing=0.1)):
    check_grads(f, (z,), order=3)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_types_of_results(dtype: str) -> None:
    z = Z.astype(dtype)

    assert [f(z).dtype for f in (softmax, log_softmax)] == [dtype] * 2
    assert [logsumexp(z).dtype, cross_entropy(z, TARGETS).dtype] == ["float32"] * 2
    assert jax.grad(lambda z: cross_entropy(z, TARGETS))(z).dtype == dtype
    assert softmax(jnp.array([1, 2])).dtype == "float32"


REFUSED: dict[str, Callable[[], Any]] = {
    "out": lambda: softmax(Z, out=Z),
    "temperature": lambda: jax.grad(lambda t: softmax(Z, temperature=t)[0, 0])(2.0),
    "targets": lambda: jax.jit(jax.grad(lambda q: cross_entropy(Z, q)))(SHARES),
    "sample_weight": lambda: jax.grad(lambda s: cross_entropy(Z, TARGETS, sample_weight=s))(SAMPLE),
    "class_weight": lambda: jax.jvp(
        jax.jit(lambda c: linear_cross_entropy(*LINEAR[:2], TARGETS, class_weight=c)), (CLASS,), (CLASS,)
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_derivative_is_refused(name: str) -> None:
    with pytest.raises(OptionError, match=re.escape("[SC141]")):
        REFUSED[name]()


def test_weights_may_be_traced_beside_logits_that_are_differentiated() -> None:
    derivative = jax.jit(jax.grad(lambda z, s: cross_entropy(z, TARGETS, sample_weight=s)))

    assert_arrays_close(jax.grad(lambda z: cross_entropy(z, TARGETS, sample_weight=SAMPLE))(Z), derivative(Z, SAMPLE))


BAD: dict[str, tuple[type[Exception], str, Callable[[], Any]]] = {
    "index": (TargetError, "SC121", lambda: cross_entropy(Z, TARGETS + 3)),
    "index of the linear loss": (TargetError, "SC121", lambda: linear_cross_entropy(*LINEAR[:2], TARGETS - 1)),
    "distribution": (TargetError, "SC122", lambda: cross_entropy(Z, 2 * SHARES)),
    "negative weight": (OptionError, "SC142", lambda: cross_entropy(Z, TARGETS, class_weight=-CLASS)),
    "weights all 0": (OptionError, "SC142", lambda: cross_entropy(Z, TARGETS, sample_weight=0 * SAMPLE)),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_values_are_named_where_they_are_known(name: str) -> None:
    kind, code, call = BAD[name]

    with pytest.raises(kind, match=re.escape(f"[{code}]")):
        call()


def test_a_traced_index_that_is_no_class_gives_nan_in_its_row_alone() -> None:
    """optax: the last class, silently."""
    derivative = jax.jit(jax.value_and_grad(lambda z, t: cross_entropy(z, t, reduction="none")[1:].sum()))

    losses = jax.jit(lambda t: cross_entropy(Z, t, reduction="none"))(jnp.array([-1, 1, 4, 2]))
    value, gradient = derivative(Z, jnp.array([-1, 1, 4, 2]))

    assert np.isnan(losses).tolist() == [True, False, False, False]
    assert np.isfinite(value)
    assert np.isfinite(gradient[1:]).all()


@pytest.mark.parametrize("garbage", [nan, inf, -inf])
def test_an_ignored_row_has_no_influence(garbage: float) -> None:
    z = Z.at[1].set(garbage)
    loss = jax.jit(jax.value_and_grad(lambda z: cross_entropy(z, TARGETS, ignore_index=1, label_smoothing=0.1)))

    (expected, clean), (found, gradient) = loss(Z), loss(z)

    assert_bit_equal(np.asarray(expected), np.asarray(found))
    assert_bit_equal(np.asarray(clean), np.asarray(gradient))
    assert gradient[1].tolist() == [0.0] * 5


def test_a_confident_answer_keeps_its_loss_and_gradient() -> None:
    loss, gradient = jax.value_and_grad(lambda z: cross_entropy(z, jnp.array([0])))(jnp.array([[0.0, -20.0, -20.0]]))

    assert_ulp(np.array(4.1223072363e-09), np.asarray(loss), ulps=4)
    assert_ulp(np.array([-4.1223072278e-09, 2.0611536e-09, 2.0611536e-09]), np.asarray(gradient[0]), ulps=4)


def test_one_infinite_logit_has_a_finite_gradient() -> None:
    loss, gradient = jax.value_and_grad(lambda z: cross_entropy(z, jnp.array([1])))(jnp.array([[inf, 1.0, 2.0]]))

    assert float(loss) == inf
    assert gradient.tolist() == [[1.0, -1.0, 0.0]]


def test_a_batch_of_padding_has_a_mean_of_nan_and_a_gradient_of_0() -> None:
    targets = jnp.full(4, -100)

    loss, gradient = jax.jit(jax.value_and_grad(lambda z: cross_entropy(z, targets, ignore_index=-100)))(Z)

    assert np.isnan(loss)
    assert_bit_equal(np.zeros((4, 5), np.float32), np.asarray(gradient))


def test_value_gradient_and_products_agree() -> None:
    v = jnp.asarray(draw.normal(size=(4, 5)).astype(np.float32))
    loss, gradient = cross_entropy_value_and_gradient(Z, TARGETS, **OPTIONS)

    def function(z: Any) -> Any:
        return cross_entropy(z, TARGETS, **OPTIONS)

    assert_arrays_close(jax.value_and_grad(function)(Z), (loss, gradient))
    assert_arrays_close(jax.jvp(jax.grad(function), (Z,), (v,))[1], cross_entropy_hvp(Z, TARGETS, v, **OPTIONS))
    assert_arrays_close(jax.vjp(softmax, Z)[1](v)[0], softmax_vjp(softmax(Z), v))
