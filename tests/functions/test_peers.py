"""What other libraries get wrong, by the numbers of the table in the design: softclass gives the right value.

benchmarks/peers.py prints what the libraries that are installed say today.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import softclass
from asserts import assert_bit_equal, assert_close, assert_correctly_rounded, assert_ulp
from golden import cases, floats, logits_of_recipe, values
from softclass.errors import TargetError
from truth import of_rows

CASES = {case["defect"]: case for case in cases("peers")}
nan, inf = np.nan, np.inf
old_torch_inside = pytest.mark.filterwarnings(
    "ignore:.*torch.jit.script.*:DeprecationWarning"
)  # its own, of torch.func


def as_numpy(array: Any) -> np.ndarray:
    return array.detach().numpy() if hasattr(array, "detach") else np.asarray(array)


@pytest.fixture(params=["numpy", "torch"])
def made(request: pytest.FixtureRequest) -> Any:
    """Return what makes an array of that library from a NumPy array."""
    if request.param == "numpy":
        return np.asarray
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    return torch.from_numpy


@pytest.fixture
def torch() -> Any:
    return pytest.importorskip("torch", reason="PyTorch is not installed")


def test_1_log_softmax_of_a_sure_class_is_not_zero(made: Any) -> None:
    case = CASES[1]
    expected = values(case["log_probabilities"])

    assert_ulp(expected, as_numpy(softclass.log_softmax(made(floats(case["logits"], "f4")))), ulps=1.5)


def test_2_the_gradient_of_a_sure_class_is_not_zero() -> None:
    case = CASES[2]

    _, gradient = softclass.cross_entropy_value_and_gradient(floats(case["logits"], "f4"), case["targets"])

    assert_ulp(values(case["gradient"]), gradient, ulps=3.5)
    assert_close(0.0, gradient.sum(dtype=np.float64), rtol=0, atol=2e-16)  # one rounding of an entry of 4e-9


def test_2_the_gradient_of_a_sure_class_is_not_zero_in_torch(torch: Any) -> None:
    case = CASES[2]
    logits = torch.tensor(floats(case["logits"], "f4"), requires_grad=True)

    softclass.cross_entropy(logits, torch.tensor(case["targets"])).backward()

    assert_ulp(values(case["gradient"]), logits.grad.numpy(), ulps=4.5)


def test_3_half_precision_of_many_classes(made: Any) -> None:
    case = CASES[3]
    n_classes = case["equal_logits"]
    row = made(np.zeros(n_classes, dtype=np.float16))

    log_partition = as_numpy(softclass.logsumexp(row))

    assert_ulp(values([case["log_partition"]])[0], log_partition, ulps=1)  # float32
    assert_correctly_rounded(np.repeat(values([case["probability"]]), n_classes), as_numpy(softclass.softmax(row)))
    assert_correctly_rounded(
        np.repeat(values([case["log_probability"]]), n_classes), as_numpy(softclass.log_softmax(row))
    )


@pytest.mark.parametrize("place", ["row", "column"])
def test_3_half_precision_along_another_axis(place: str) -> None:
    """Only the last axis is right in some libraries."""
    row = np.zeros((2, 70_000), dtype=np.float16)

    found = softclass.log_softmax(row if place == "row" else row.T, axis=1 if place == "row" else 0)

    assert_bit_equal(np.full_like(row if place == "row" else row.T, -11.15625), found)


def test_4_a_hundred_thousand_classes_of_scale_5(made: Any) -> None:
    [case] = [c for c in cases("softmax") if (c["name"], c["dtype"]) == ("scale 5, 100000 classes", "float32")]
    logits = logits_of_recipe(case)

    found = as_numpy(softclass.softmax(made(logits)))

    assert_ulp(of_rows(logits).probabilities, found, ulps=2.5)
    assert_close(1.0, found.sum(dtype=np.float64), rtol=0, atol=1e-7)


@pytest.mark.parametrize("garbage", [[nan, 0.0, 1.0], [-inf, -inf, -inf], [inf, nan, -inf]], ids=str)
def test_5_an_ignored_row_has_no_gradient(garbage: list[float]) -> None:
    logits = np.array([[1.0, 2.0, 0.5], garbage], dtype=np.float32)
    clean = softclass.cross_entropy_value_and_gradient(logits[:1], [1])

    loss, gradient = softclass.cross_entropy_value_and_gradient(logits, [1, -100], ignore_index=-100)

    assert_bit_equal(clean[0], loss)
    assert_bit_equal(np.vstack([clean[1], np.zeros((1, 3), np.float32)]), gradient)


@pytest.mark.parametrize("garbage", [[nan, 0.0, 1.0], [-inf, -inf, -inf], [inf, nan, -inf]], ids=str)
def test_5_an_ignored_row_has_no_gradient_in_torch(torch: Any, garbage: list[float]) -> None:
    logits = torch.tensor([[1.0, 2.0, 0.5], garbage], requires_grad=True)

    softclass.cross_entropy(logits, torch.tensor([1, -100]), ignore_index=-100).backward()

    assert_bit_equal(np.zeros(3, dtype=np.float32), logits.grad[1].numpy())


LINEAR_IGNORED = (
    np.array([[1.0, 2.0], [inf, nan]], dtype=np.float32),
    np.array([[0.5, 0.25], [1.0, -1.0]], dtype=np.float32),
)


def test_6_an_ignored_row_of_features_has_no_influence(made: Any) -> None:
    features, weight = LINEAR_IGNORED
    clean = softclass.cross_entropy(features[:1] @ weight.T, [1])

    loss = softclass.linear_cross_entropy(made(features), made(weight), made(np.array([1, 0])), ignore_index=0)

    assert_ulp(np.longdouble(clean), as_numpy(loss), ulps=2)


def test_6_an_ignored_row_of_features_has_no_gradient() -> None:
    features, weight = LINEAR_IGNORED

    _, gradients = softclass.linear_cross_entropy_value_and_gradient(
        features, weight, np.array([1, 0]), ignore_index=0, wrt=("weight", "features")
    )

    assert np.isfinite(gradients.weight).all()
    assert_bit_equal(np.zeros(2, dtype=np.float32), gradients.features[1])


def test_6_an_ignored_row_of_features_has_no_gradient_in_torch(torch: Any) -> None:
    features, weight = (torch.tensor(array, requires_grad=True) for array in LINEAR_IGNORED)

    softclass.linear_cross_entropy(features, weight, torch.tensor([1, 0]), ignore_index=0).backward()

    assert np.isfinite(weight.grad.numpy()).all()
    assert_bit_equal(np.zeros(2, dtype=np.float32), features.grad[1].numpy())


def bfloat16_problem() -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Return features, weight, targets in bfloat16, and the loss of exactly these numbers."""
    draw = np.random.default_rng(7)
    features = draw.normal(size=(2048, 64)).astype(ml_dtypes.bfloat16)
    weight = (draw.normal(size=(4096, 64)) * 0.5).astype(ml_dtypes.bfloat16)
    targets = draw.integers(4096, size=2048)
    logits = features.astype(np.float64) @ weight.astype(np.float64).T
    largest = logits.max(axis=1)
    log_partitions = largest + np.log(np.exp(logits - largest[:, None]).sum(axis=1))
    return features, weight, targets, float((log_partitions - logits[range(2048), targets]).mean())


def test_7_a_loss_of_bfloat16_is_summed_in_wider_numbers() -> None:
    features, weight, targets, expected = bfloat16_problem()

    loss = softclass.linear_cross_entropy(features, weight, targets)

    assert loss.dtype == np.float32
    assert_close(expected, float(loss), rtol=2e-6, atol=0)  # float32 logits, errors of 2048 rows


def test_7_a_loss_of_bfloat16_is_summed_in_wider_numbers_in_torch(torch: Any) -> None:
    features, weight, targets, expected = bfloat16_problem()
    given = [torch.from_numpy(array.view(np.int16)).view(torch.bfloat16) for array in (features, weight)]

    loss = softclass.linear_cross_entropy(*given, torch.from_numpy(targets))

    assert loss.dtype == torch.float32
    assert_close(expected, float(loss), rtol=2e-6, atol=0)


@old_torch_inside
def test_8_forward_mode_of_the_linear_loss_is_not_silently_zero(torch: Any) -> None:
    draw = np.random.default_rng(8)
    features, weight, tangent = (torch.tensor(draw.normal(size=size)) for size in ((6, 4), (5, 4), (5, 4)))
    targets = torch.tensor([0, 4, 2, 1, 1, 3])

    _, found = torch.func.jvp(lambda w: softclass.linear_cross_entropy(features, w, targets), (weight,), (tangent,))
    _, expected = torch.func.jvp(
        lambda w: torch.nn.functional.cross_entropy(features @ w.T, targets), (weight,), (tangent,)
    )

    assert abs(float(expected)) > 0.01
    assert_close(float(expected), float(found), rtol=1e-12, atol=0)


@old_torch_inside
def test_8_the_linear_loss_has_func_grad_and_a_second_derivative(torch: Any) -> None:
    draw = np.random.default_rng(8)
    features, weight = (torch.tensor(draw.normal(size=size)) for size in ((6, 4), (5, 4)))
    targets = torch.tensor([0, 4, 2, 1, 1, 3])

    def ours(w: Any) -> Any:
        return softclass.linear_cross_entropy(features, w, targets)

    def theirs(w: Any) -> Any:
        return torch.nn.functional.cross_entropy(features @ w.T, targets)

    assert_close(torch.func.grad(theirs)(weight).numpy(), torch.func.grad(ours)(weight).numpy(), rtol=0, atol=1e-14)
    expected, found = (torch.autograd.functional.hessian(f, weight).numpy() for f in (theirs, ours))
    assert_close(expected, found, rtol=0, atol=1e-13)


@pytest.mark.parametrize("dtype", ["f2", "f4"])
def test_9_features_of_float16_whose_products_do_not_fit_it(made: Any, dtype: str) -> None:
    case = CASES[9]
    features, weight = (made(floats(case[name], dtype)) for name in ("features", "weight"))

    loss = softclass.linear_cross_entropy(features, weight, made(np.array(case["targets"])))

    assert_ulp(values([case["mean"]])[0], as_numpy(loss), ulps=1)


def test_10_a_soft_target_of_zero_at_minus_infinity_adds_nothing(made: Any) -> None:
    case = CASES[10]

    loss = softclass.cross_entropy(made(floats(case["logits"])), made(floats(case["targets"])))

    assert_ulp(values([case["loss"]])[0], as_numpy(loss), ulps=2)


@pytest.mark.parametrize("target", [-1, 7])
def test_11_a_target_that_is_no_class_is_refused(made: Any, target: int) -> None:
    logits, targets = made(np.array([[2.0, 1.0, 0.1]])), made(np.array([target]))

    with pytest.raises(TargetError, match=r"^\[SC121\] cross_entropy: "):
        softclass.cross_entropy(logits, targets)


def test_12_a_loss_of_bfloat16_is_float32() -> None:
    case = CASES[12]

    loss = softclass.cross_entropy(floats(case["logits"], ml_dtypes.bfloat16), case["targets"])

    assert loss.dtype == np.float32
    assert_ulp(values([case["loss"]])[0], loss, ulps=1)


def test_12_a_loss_of_bfloat16_is_float32_in_torch(torch: Any) -> None:
    case = CASES[12]
    logits = torch.tensor(floats(case["logits"]), dtype=torch.bfloat16)

    loss = softclass.cross_entropy(logits, torch.tensor(case["targets"]))

    assert loss.dtype == torch.float32
    assert_ulp(values([case["loss"]])[0], loss.numpy(), ulps=1)


OUTS = {
    "Fortran order": lambda: np.full((5, 7), 9.0, order="F"),
    "every second": lambda: np.full((10, 14), 9.0)[::2, ::2],
    "backwards": lambda: np.full((5, 7), 9.0)[::-1, ::-1],
    "turned": lambda: np.full((7, 5), 9.0).T,
}


@pytest.mark.parametrize("function", ["softmax", "log_softmax"])
@pytest.mark.parametrize("layout", OUTS)
def test_13_a_result_array_of_any_layout_is_filled(layout: str, function: str) -> None:
    logits = np.random.default_rng(13).normal(size=(5, 7))
    out = OUTS[layout]()

    returned = getattr(softclass, function)(logits, out=out)

    assert returned is out
    assert_bit_equal(getattr(softclass, function)(logits), np.ascontiguousarray(out))


@pytest.mark.parametrize("layout", ["turned", "every second"])
def test_13_a_result_tensor_of_any_layout_is_filled(torch: Any, layout: str) -> None:
    logits = torch.randn(5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    out = {"turned": torch.full((7, 5), 9.0).double().T, "every second": torch.full((10, 14), 9.0).double()[::2, ::2]}[
        layout
    ]

    softclass.softmax(logits, out=out)

    assert_bit_equal(softclass.softmax(logits).numpy(), out.contiguous().numpy())


@pytest.mark.parametrize("function", ["softmax", "log_softmax", "logsumexp"])
def test_14_rows_more_than_two_to_the_31_elements_apart(function: str) -> None:
    """Memory that nobody touched costs nothing: two rows at both ends of 5 GB of zeros."""
    apart = 2**31 + 5
    logits = np.zeros(apart + 64, dtype=np.float16)
    logits[apart : apart + 8] = np.arange(8)
    rows = np.lib.stride_tricks.as_strided(logits, (2, 8), (2 * apart, 2))

    assert_bit_equal(getattr(softclass, function)(rows.copy()), getattr(softclass, function)(rows))


@pytest.mark.slow
def test_14_a_row_of_more_than_two_to_the_31_elements() -> None:
    row = np.broadcast_to(np.float32(0), (2**31 + 8,))

    assert_ulp(np.log(np.longdouble(2**31 + 8)), softclass.logsumexp(row), ulps=1)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # those of the compiler are not ours
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp", "cross_entropy"])
def test_15_forward_mode_inside_compiled_code_is_not_silently_zero(torch: Any, name: str) -> None:
    logits, tangent = (
        torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(i)) for i in (0, 1)
    )
    given = (torch.tensor([0, 3, 1]),) if name == "cross_entropy" else ()

    def slope(z: Any) -> Any:
        return torch.func.jvp(lambda x: getattr(softclass, name)(x, *given), (z,), (tangent,))[1]

    found = torch.compile(slope, backend="aot_eager")(logits)

    assert float(found.abs().max()) > 0.01
    assert_close(slope(logits).numpy(), found.numpy(), rtol=1e-12, atol=1e-14)
