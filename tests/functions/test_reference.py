"""The specification: right within its bounds in every library that runs it, and differentiable as it stands."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from asserts import assert_bit_equal, assert_close, assert_ulp
from golden import cases, floats, logits_of_recipe, values
from softclass.functions import reference

torch = pytest.importorskip("torch", reason="the formulas of PyTorch need it")
jnp = pytest.importorskip("jax.numpy", reason="the formulas of JAX need it")
strict = pytest.importorskip("array_api_strict", reason="the strictest library of the array API is not installed")
# PyTorch's own forward mode loads parts of torch.jit on first use.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")

MAKERS = {"numpy": np.asarray, "torch": torch.tensor, "jax": jnp.asarray, "strict": strict.asarray}
# JAX has float64 in a process of its own: test_jax.py.
ARRAYS = [(name, dtype) for name in MAKERS for dtype in ("float32", "float64") if (name, dtype) != ("jax", "float64")]
arrays = pytest.mark.parametrize(("library", "dtype"), ARRAYS)
# float32 as the design states it; float64 has no wider type for sums.
SOFTMAX = {"float32": 4.5, "float64": 5.0}
LOG_SOFTMAX = {"float32": 4.0, "float64": 7.0}
LOSS = {"float32": 4.0, "float64": 4.0}
CANCELLED = {"float32": 2.0**-22, "float64": 2.0**-51}  # where maximum and log of the rest cancel
TINY = {"jax": float(np.finfo(np.float32).tiny)}  # XLA rounds subnormal numbers to 0


def rows_of(dtype: str) -> list[dict[str, Any]]:
    """Return every seventh case of the golden rows: the twin of NumPy takes them all."""
    return [case for case in cases("softmax") if case["dtype"] == dtype and case["classes"] <= 5000][::7]


def as_numpy(array: Any) -> np.ndarray:
    return np.asarray(array.detach() if isinstance(array, torch.Tensor) else array)


def quietly(function: Any, *arguments: Any) -> Any:
    """Call a formula as NumPy's own fall-back does: infinities are meant."""
    with np.errstate(all="ignore"):
        return function(*arguments)


FAMILY = [case for case in cases("edges") if case["kind"] == "family" and "float32" in case["dtypes"]]
# JAX compiles every operation anew for every length, a second a case: a fourth of them is enough for every run.
pairs = [
    pytest.param(
        library,
        case,
        id=f"{library}-{case['name']}-{case['dtype']}",
        marks=[pytest.mark.slow] * (library == "jax" and number % 4 > 0),
    )
    for library, dtype in ARRAYS
    for number, case in enumerate(rows_of(dtype))
]


@pytest.mark.parametrize(("library", "case"), pairs)
def test_softmax_and_its_logarithm(library: str, case: dict[str, Any]) -> None:
    logits, temperature = MAKERS[library](logits_of_recipe(case)), float.fromhex(case["temperature"])
    arguments = (logits, -1, temperature, None, None, None)
    tiny = case["classes"] * TINY.get(library, 0.0)  # the sum of all that was rounded to 0

    p = as_numpy(quietly(reference.softmax, *arguments)).ravel()[case["elements"]]
    log_p = as_numpy(quietly(reference.log_softmax, *arguments)).ravel()[case["elements"]]

    assert_ulp(values(case["probabilities"]), p, ulps=SOFTMAX[case["dtype"]], atol=tiny)
    assert_ulp(values(case["log_probabilities"]), log_p, ulps=LOG_SOFTMAX[case["dtype"]], atol=tiny)


@pytest.mark.parametrize(("library", "case"), [p for p in pairs if p.values[1]["temperature"] == (1.0).hex()])
def test_logsumexp(library: str, case: dict[str, Any]) -> None:
    found = as_numpy(reference.logsumexp(MAKERS[library](logits_of_recipe(case)), -1, None, False, None))

    assert_ulp(values(case["log_partitions"]), found, ulps=2, atol=CANCELLED[case["dtype"]])


@pytest.mark.parametrize("library", MAKERS)
@pytest.mark.parametrize("case", FAMILY, ids=lambda case: case["name"])
def test_edges_of_the_softmax_family(case: dict[str, Any], library: str) -> None:
    make = MAKERS[library]
    logits = make(floats(case["logits"], np.float32))
    where = None if case["where"] is None else make(np.array(case["where"]))

    p = as_numpy(quietly(reference.softmax, logits, -1, 1.0, where, None, None))
    log_p = as_numpy(quietly(reference.log_softmax, logits, -1, 1.0, where, None, None))
    log_z = as_numpy(quietly(reference.logsumexp, logits, -1, where, False, None))

    assert_close(values(case["probabilities"]), p, rtol=3e-7, atol=0)  # 2 roundings
    assert_close(values(case["log_probabilities"]), log_p, rtol=3e-7, atol=0)
    assert_close(values([case["log_partition"]])[0], log_z, rtol=3e-7, atol=0)


def loss_arguments(case: dict[str, Any], make: Any, reduction: str) -> tuple[Any, ...]:
    dtype = case["dtype"]
    hard = np.ndim(case["targets"]) == 1
    targets = np.array(case["targets"], dtype=np.int64) if hard else floats(case["targets"], dtype)
    weights = [None if case[n] is None else make(floats(case[n], dtype)) for n in ("sample_weight", "class_weight")]
    rest = (case["ignore_index"], float.fromhex(case["label_smoothing"]), reduction)
    return make(floats(case["logits"], dtype)), make(targets), -1, *weights, *rest


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@arrays
def test_losses_with_every_option(library: str, dtype: str, reduction: str) -> None:
    expected, found = [], []
    for case in [case for case in cases("losses") if case["dtype"] == dtype]:
        loss = reference.cross_entropy(*loss_arguments(case, MAKERS[library], reduction))
        expected += list(values(case[reduction] if reduction == "none" else [case[reduction]]))
        found += list(np.atleast_1d(as_numpy(loss)))

    assert_ulp(np.array(expected, dtype=np.longdouble), np.array(found, dtype=dtype), ulps=LOSS[dtype])


@arrays
def test_gradients_with_every_option(library: str, dtype: str) -> None:
    expected, found = [], []
    for case in [case for case in cases("losses") if case["dtype"] == dtype]:
        arguments = loss_arguments(case, MAKERS[library], "none")
        _, gradient = reference.cross_entropy_value_and_gradient(*arguments, None)
        expected += list(values(case["gradient"]).ravel())
        found += list(as_numpy(gradient).ravel())

    # p - q of given q may cancel: the bound is that of p, times the largest weight of these cases.
    error = 8 * 4 * float(np.finfo(dtype).eps)
    assert_ulp(np.array(expected, dtype=np.longdouble), np.array(found, dtype=dtype), ulps=4, atol=error)


@pytest.mark.parametrize("library", MAKERS)
def test_a_row_that_is_not_there_is_never_read(library: str) -> None:
    make = MAKERS[library]
    clean = np.array([[1.0, 2.0, 0.5], [0.0, 1.0, 2.0], [3.0, -1.0, 0.0]], dtype=np.float32)
    garbage = clean.copy()
    garbage[1] = [np.nan, np.inf, -np.inf]
    options = (make(np.array([0, -100, 2])), -1, None, None, -100, 0.1, "mean")

    expected = reference.cross_entropy_value_and_gradient(make(clean), *options, None)
    found = reference.cross_entropy_value_and_gradient(make(garbage), *options, None)

    assert_bit_equal(as_numpy(expected[0]), as_numpy(found[0]))
    assert_bit_equal(as_numpy(expected[1]), as_numpy(found[1]))


@pytest.mark.parametrize("library", MAKERS)
def test_an_index_that_is_no_class_spoils_its_row_alone(library: str) -> None:
    make = MAKERS[library]
    logits = make(np.array([[1.0, 2.0], [0.0, 1.0]], dtype=np.float32))

    losses, gradient = reference.cross_entropy_value_and_gradient(
        logits, make(np.array([7, 1])), -1, None, None, None, 0.0, "none", None
    )

    assert np.isnan(as_numpy(losses)).tolist() == [True, False]
    assert np.isnan(as_numpy(gradient)).tolist() == [[True, True], [False, False]]


@pytest.mark.parametrize("library", MAKERS)
def test_several_class_axes_count_as_one(library: str) -> None:
    make = MAKERS[library]
    array = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    flat = array.transpose(1, 0, 2).reshape(3, 8)

    found = as_numpy(reference.softmax(make(array), (0, 2), 1.0, None, None, None))
    expected = as_numpy(reference.softmax(make(flat), -1, 1.0, None, None, None))

    assert_bit_equal(expected, np.ascontiguousarray(found.transpose(1, 0, 2)).reshape(3, 8))
    assert tuple(reference.logsumexp(make(array), (0, 2), None, True, None).shape) == (1, 3, 1)
    assert tuple(reference.logsumexp(make(array), None, None, False, None).shape) == ()


def test_no_class_at_all() -> None:
    empty = np.zeros((2, 0), dtype=np.float32)

    assert reference.softmax(empty, -1, 1.0, None, None, None).shape == (2, 0)
    assert_bit_equal(np.full(2, -np.inf, np.float32), reference.logsumexp(empty, -1, None, False, None))
    assert [a.tolist() for a in reference.log_partition_state(empty, -1)] == [[-np.inf] * 2, [-1] * 2, [-1.0] * 2]


def test_the_state_keeps_nan_in_the_rest() -> None:
    rows = np.array([[1.0, np.nan, 2.0], [np.inf, 1.0, np.inf], [-np.inf] * 3, [3.0, 3.0, 1.0]], dtype=np.float32)

    maximum, first, rest = quietly(reference.log_partition_state, rows, -1)

    assert maximum.tolist() == [2, np.inf, -np.inf, 3]
    assert first.tolist() == [2, 0, 0, 0]
    assert_close([np.nan, 1, 2, 1 + np.exp(-2.0)], rest, rtol=1e-7, atol=0)  # float32 exponentials


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp", "loss", "smoothed loss", "soft loss"])
def test_automatic_differentiation_of_the_formula_is_right_to_second_order(name: str) -> None:
    generator = torch.Generator().manual_seed(1)
    z = torch.randn(3, 4, dtype=torch.float64, generator=generator, requires_grad=True)
    shares = torch.softmax(torch.randn(3, 4, dtype=torch.float64, generator=generator), -1)
    targets = torch.tensor([0, 3, 1])
    functions: dict[str, Any] = {
        "softmax": lambda z: reference.softmax(z, -1, 1.7, None, None, None),
        "log_softmax": lambda z: reference.log_softmax(z, 0, 1.0, None, None, None),
        "logsumexp": lambda z: reference.logsumexp(z, (0, 1), None, False, None),
        "loss": lambda z: reference.cross_entropy(z, targets, -1, None, None, 3, 0.0, "mean"),
        "smoothed loss": lambda z: reference.cross_entropy(z, targets, -1, None, shares[0], None, 0.2, "sum"),
        "soft loss": lambda z: reference.cross_entropy(z, shares, -1, shares[:, 0], None, None, 0.1, "none"),
    }

    assert torch.autograd.gradcheck(functions[name], z, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(functions[name], z, check_fwd_over_rev=True)


def test_automatic_differentiation_keeps_small_gradients() -> None:
    """The target's entry is minus the sum of the others, 4e-9, where p - 1 would be 0."""
    z = torch.tensor([[0.0, -20.0, -20.0]], requires_grad=True)

    reference.cross_entropy(z, torch.tensor([0]), -1, None, None, None, 0.0, "mean").backward()

    assert_ulp(np.array([-4.1223072278e-09, 2.0611536e-09, 2.0611536e-09]), z.grad.numpy()[0], ulps=4)


edge_rows = torch.tensor([[1, float("nan"), 2], [float("inf"), 1, 0], [float("-inf")] * 3, [1, float("-inf"), 2]])


def test_slopes_at_edges() -> None:
    """NaN where nothing is known, 0 where one class has taken all."""
    z = edge_rows.clone().requires_grad_()

    p = reference.softmax(z, -1, 1.0, None, None, None)
    (gradient,) = torch.autograd.grad(p, z, torch.tensor([1.0, 2.0, 3.0]).expand(4, 3))

    assert gradient.isnan().all(1).tolist() == [True, False, True, False]
    assert gradient[1].tolist() == [0, 0, 0]
    assert gradient[3, 1] == 0
