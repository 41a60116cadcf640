"""linear_cross_entropy and its Hessian product as the kernels compute them, judged by the formula in long double."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import mpmath
import numpy as np
import pytest

from asserts import assert_bit_equal, assert_close
from softclass.kernels import _cpu

BF16 = np.dtype(ml_dtypes.bfloat16)
# Relative to the largest entry. float32: logits are sums of D rounded products; 16 bits: the result is rounded.
GRADIENT_ERROR = {"float32": 4e-6, "float64": 1e-14, "float16": 1e-3, "bfloat16": 6e-3}
LOSS_ERROR = {"float32": 1e-6, "float64": 1e-14, "float16": 1e-6, "bfloat16": 1e-6}
DTYPES = [np.dtype("f4"), np.dtype("f8"), np.dtype("f2"), BF16]
# (N, K, D): few classes, more rows than a block, chunks of rows, several blocks of classes, one class, one feature.
SHAPES = [(5, 3, 4), (300, 10, 33), (131, 64, 17), (150, 300, 129), (90, 2100, 5), (7, 1, 3), (400, 70, 1)]


class Problem(NamedTuple):
    features: np.ndarray
    weight: np.ndarray
    bias: np.ndarray
    indices: np.ndarray
    shares: np.ndarray
    sample_weight: np.ndarray
    class_weight: np.ndarray


class Results(NamedTuple):
    sums: tuple[float, float, int, int]
    losses: np.ndarray
    weight: np.ndarray
    bias: np.ndarray
    features: np.ndarray


def problem(shape: tuple[int, int, int], dtype: Any, seed: int = 0) -> Problem:
    n_rows, n_classes, n_features = shape
    random = np.random.default_rng(seed)
    shares = random.random((n_rows, n_classes if n_classes < 3000 else 1)) ** 3
    return Problem(
        random.standard_normal((n_rows, n_features)).astype(dtype),
        (random.standard_normal((n_classes, n_features)) * 2 / np.sqrt(n_features)).astype(dtype),
        random.standard_normal(n_classes).astype(dtype),
        random.integers(0, n_classes, n_rows),
        shares / shares.sum(axis=1, keepdims=True),
        random.random(n_rows) * (random.random(n_rows) > 0.3),
        random.random(n_classes) + 0.1,
    )


def bits(array: np.ndarray | None) -> Any:
    return array.view(np.uint16) if array is not None and array.dtype == BF16 else array


def run(
    p: Problem,
    targets: np.ndarray,
    *,
    sample_weight: Any = None,
    class_weight: Any = None,
    ignore_index: int | None = None,
    smoothing: float = 0.0,
    scale: float = 1.0,
    mean: bool = True,
    threads: int = 0,
    without: tuple[str, ...] = (),
) -> Results:
    """Call the kernel; results begin as NaN, so what is not written shows."""
    dtype = p.features.dtype
    shapes = {"weight": p.weight.shape, "bias": p.bias.shape, "features": p.features.shape}
    out = {name: np.full(shape, np.nan).astype(dtype) for name, shape in shapes.items()}
    losses = np.full(len(p.features), np.nan)
    sums = _cpu.linear_cross_entropy(
        bits(p.features),
        bits(p.weight),
        None if "offset" in without else bits(p.bias),
        targets,
        sample_weight,
        class_weight,
        ignore_index,
        smoothing,
        scale,
        1e-3,
        mean,
        losses,
        *(None if name in without else bits(array) for name, array in out.items()),
        threads,
    )
    return Results(sums, losses, *out.values())


def truth(p: Problem, targets: np.ndarray, *, has_bias: bool = True, **options: Any) -> Results:
    """Return the same by the formula, in long double."""
    x, w = p.features.astype(np.longdouble), p.weight.astype(np.longdouble)
    n_classes = len(w)
    is_there = targets != options.get("ignore_index") if targets.ndim == 1 else np.ones(len(x), dtype=bool)
    hot = np.eye(n_classes, dtype=np.longdouble)[np.where(is_there, targets, 0)] if targets.ndim == 1 else targets
    omega = is_there * np.longdouble(1.0)
    if options.get("sample_weight") is not None:
        omega = omega * options["sample_weight"]
    if options.get("class_weight") is not None:
        omega = omega * (hot * options["class_weight"]).sum(axis=1)
    smoothing = options.get("smoothing", 0.0)
    q = (1 - smoothing) * hot + np.longdouble(smoothing) / n_classes
    z = x @ w.T + (p.bias.astype(np.longdouble) if has_bias else 0)
    d = z - z.max(axis=1, keepdims=True)
    e = np.exp(d)
    total = e.sum(axis=1, keepdims=True)
    losses = omega * -np.where(q == 0, 0, q * (d - np.log(total))).sum(axis=1)
    norm = omega.sum() if options.get("mean", True) else 1
    g = (omega / norm)[:, None] * (q.sum(axis=1, keepdims=True) * e / total - q)
    return Results((losses.sum(), omega.sum(), -1, 0), losses, g.T @ x, g.sum(axis=0), g @ w)


def assert_near(expected: Results, actual: Results, dtype: Any) -> None:
    name = np.dtype(dtype).name
    atol = LOSS_ERROR[name] * max(1.0, float(np.abs(expected.losses).max()))
    assert_close(expected.losses, actual.losses, rtol=LOSS_ERROR[name], atol=atol)
    assert_close(expected.sums, actual.sums, rtol=LOSS_ERROR[name], atol=atol)
    for right, got in zip(expected[2:], actual[2:], strict=True):
        atol = GRADIENT_ERROR[name] * max(float(np.abs(right).max()), 1e-6)
        assert_close(right, got.astype(right.dtype), rtol=0.0, atol=atol)


def assert_same_results(expected: Results, actual: Results) -> None:
    assert expected.sums == actual.sums
    for right, got in zip(expected[1:], actual[1:], strict=True):
        assert_bit_equal(bits(right), bits(got))


OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "sum": {"mean": False},
    "weights": {"sample_weight": True, "class_weight": True},
    "ignored": {"ignore_index": True},
    "smoothing": {"smoothing": 0.1, "sample_weight": True},
}


def chosen(p: Problem, name: str) -> dict[str, Any]:
    named = {
        "sample_weight": p.sample_weight,
        "class_weight": p.class_weight,
        "ignore_index": int(p.indices[0]) if len(p.weight) > 1 else 5,
    }
    return {key: named[key] if value is True and key in named else value for key, value in OPTIONS[name].items()}


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES)
def test_indices(shape: tuple[int, int, int], dtype: Any, option: str) -> None:
    p = problem(shape, dtype)
    options = chosen(p, option)

    assert_near(truth(p, p.indices, **options), run(p, p.indices, **options), dtype)


@pytest.mark.parametrize("option", ["plain", "weights", "smoothing"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES)
def test_distributions(shape: tuple[int, int, int], dtype: Any, option: str) -> None:
    p = problem(shape, dtype)
    options = chosen(p, option)

    assert_near(truth(p, p.shares, **options), run(p, p.shares, **options), dtype)


@pytest.mark.parametrize("shape", [(300, 10, 33), (150, 300, 129)])
def test_without_bias(shape: tuple[int, int, int]) -> None:
    p = problem(shape, "f8")

    actual = run(p, p.indices, without=("offset",))

    assert_near(truth(p, p.indices, has_bias=False), actual, "f8")


@pytest.mark.parametrize("element", ["f2", "f4", "f8", BF16])
def test_distributions_of_every_type(element: Any) -> None:
    p = problem((40, 8, 6), "f8")
    hot = np.eye(8)[p.indices].astype(element)

    actual = run(p, bits(np.asfortranarray(hot)))

    assert_near(truth(p, p.indices), actual, "f8")


# The logits of 32 rows do not fit the memory of a call: states first, then tile by tile.
TILES = [(40, 220_000, 3, np.dtype("f8")), (40, 440_000, 2, np.dtype("f4")), (20, 7000, 1000, BF16)]


@pytest.mark.parametrize(("n_rows", "n_classes", "n_features", "dtype"), TILES, ids=str)
def test_more_classes_than_fit_at_once(n_rows: int, n_classes: int, n_features: int, dtype: Any) -> None:
    p = problem((n_rows, n_classes, n_features), dtype)
    options = {"sample_weight": p.sample_weight, "smoothing": 0.1}

    actual = run(p, p.indices, **options)

    z = p.features.astype("f8") @ p.weight.astype("f8").T + p.bias.astype("f8")
    z -= z.max(axis=1, keepdims=True)
    e = np.exp(z)
    total = e.sum(axis=1, keepdims=True)
    losses = np.log(total)[:, 0] - 0.9 * z[np.arange(n_rows), p.indices] - 0.1 * z.mean(axis=1)
    g = e / total - 0.1 / n_classes
    g[np.arange(n_rows), p.indices] -= 0.9
    g *= (p.sample_weight / p.sample_weight.sum())[:, None]
    expected = Results(
        ((p.sample_weight * losses).sum(), p.sample_weight.sum(), -1, 0),
        p.sample_weight * losses,
        g.T @ p.features.astype("f8"),
        g.sum(axis=0),
        g @ p.weight.astype("f8"),
    )
    assert_near(expected, actual, "f4" if dtype == np.dtype("f8") else dtype)


@pytest.mark.parametrize("without", [("features",), ("weight", "bias"), ("weight", "bias", "features")], ids=str)
def test_losses_do_not_depend_on_the_gradients_that_are_asked_for(without: tuple[str, ...]) -> None:
    p = problem((40, 220_000, 2), "f8")

    assert_bit_equal(run(p, p.indices).losses, run(p, p.indices, without=without).losses)


@pytest.mark.parametrize("dtype", [np.dtype("f4"), np.dtype("f8")], ids=str)
@pytest.mark.parametrize("shape", [*SHAPES, (40, 220_000, 2)])
def test_hessian_product(shape: tuple[int, int, int], dtype: Any) -> None:
    p = problem(shape, dtype)
    random = np.random.default_rng(1)
    tangent, bias_tangent = (random.standard_normal(a.shape).astype(dtype) for a in (p.weight, p.bias))
    product, bias_product = np.full_like(p.weight, np.nan), np.full_like(p.bias, np.nan)
    omega = p.sample_weight * p.class_weight[p.indices]

    operands = (p.features, p.weight, p.bias, tangent, bias_tangent, p.indices, p.sample_weight, p.class_weight)
    _cpu.linear_cross_entropy_hvp(*operands, None, 1.0, 1e-3, True, product, bias_product)

    x, w, v = (a.astype("f8") for a in (p.features, p.weight, tangent))
    z, u = x @ w.T + p.bias, x @ v.T + bias_tangent
    e = np.exp(z - z.max(axis=1, keepdims=True))
    q = e / e.sum(axis=1, keepdims=True)
    r = (omega / omega.sum())[:, None] * q * (u - (q * u).sum(axis=1, keepdims=True))
    error = {"float32": 2e-6, "float64": 1e-13}[np.dtype(dtype).name]
    assert_close(r.T @ x, product, rtol=0.0, atol=error * max(np.abs(r.T @ x).max(), 1e-6))
    assert_close(r.sum(axis=0), bias_product, rtol=0.0, atol=error * max(np.abs(r.sum(axis=0)).max(), 1e-6))


@pytest.fixture
def every_target() -> Any:
    first = _cpu.target()
    yield _cpu.targets()
    _cpu.set_target(first)


BIT_SHAPES = [(300, 10, 33), (131, 64, 17), (150, 300, 129), (700, 2100, 30), (40, 220_000, 2)]


@pytest.mark.parametrize("dtype", [np.dtype("f4"), np.dtype("f8"), BF16], ids=str)
@pytest.mark.parametrize("shape", BIT_SHAPES[:4])
def test_all_instruction_sets_give_the_same_bits(shape: Any, dtype: Any, every_target: tuple[str, ...]) -> None:
    p = problem(shape, dtype)
    options = {"sample_weight": p.sample_weight, "smoothing": 0.1}
    results = []
    for target in every_target:
        _cpu.set_target(target)
        results.append(run(p, p.indices, **options))

    for other in results[1:]:
        assert_same_results(results[0], other)


@pytest.mark.parametrize("threads", [2, 3, 7])
@pytest.mark.parametrize("shape", BIT_SHAPES)
def test_any_number_of_threads_gives_the_same_bits(shape: tuple[int, int, int], threads: int) -> None:
    p = problem(shape, "f4" if shape[1] < 3000 else "f8")

    assert_same_results(run(p, p.indices, threads=1), run(p, p.indices, threads=threads))


@pytest.mark.parametrize("n_rows", [1, 15, 16, 17, 200])
@pytest.mark.parametrize("shape", [(300, 10, 33), (420, 300, 129)])
def test_the_loss_of_a_row_depends_on_the_row_alone(shape: tuple[int, int, int], n_rows: int) -> None:
    p = problem(shape, "f4")
    part = p._replace(features=p.features[50 : 50 + n_rows])

    assert_bit_equal(run(p, p.indices).losses[50 : 50 + n_rows], run(part, p.indices[50 : 50 + n_rows]).losses)


@pytest.mark.parametrize("garbage", [np.nan, np.inf])
@pytest.mark.parametrize("shape", [(300, 10, 33), (150, 300, 129)])
def test_rows_without_weight_change_no_bit(shape: tuple[int, int, int], garbage: float) -> None:
    p = problem(shape, "f4")
    is_out = (p.sample_weight == 0.0) | (p.indices == 1)
    options: dict[str, Any] = {"sample_weight": p.sample_weight, "ignore_index": 1}
    spoiled = p._replace(features=np.where(is_out[:, None], garbage, p.features).astype("f4"))
    there = p._replace(features=p.features[~is_out])

    actual = run(spoiled, p.indices, **options)

    assert_same_results(run(p, p.indices, **options), actual)
    assert_bit_equal(np.zeros((is_out.sum(), shape[2]), "f4"), actual.features[is_out])
    alone = run(there, p.indices[~is_out], sample_weight=p.sample_weight[~is_out])
    assert_close(alone.weight, actual.weight, rtol=0.0, atol=1e-7)  # other blocks of rows, other roundings


@pytest.mark.parametrize("shape", [(20, 10, 3), (20, 100, 3), (0, 10, 3), (0, 100, 3), (5, 100, 0), (5, 4, 0)])
def test_no_rows_give_no_gradient(shape: tuple[int, int, int]) -> None:
    p = problem(shape, "f4")

    actual = run(p, np.full(shape[0], 2), ignore_index=2)

    assert actual.sums == (0.0, 0.0, -1, 0)
    for gradient in (actual.weight, actual.bias, actual.features, actual.losses):
        assert_bit_equal(np.zeros_like(gradient), gradient)


@pytest.mark.parametrize("n_classes", [10, 300])
def test_bad_indices_are_counted_and_spoil_their_row_alone(n_classes: int) -> None:
    p = problem((50, n_classes, 6), "f8")
    targets = p.indices.copy()
    targets[[7, 31]] = n_classes, -(2**62)
    right = run(p, p.indices, mean=False, without=("weight", "bias", "features"))

    actual = run(p, targets, mean=False, sample_weight=np.ones(50))

    is_good = np.delete(np.arange(50), [7, 31])
    assert actual.sums[1:] == (50.0, 7, 2)
    assert_bit_equal(right.losses[is_good], actual.losses[is_good])
    assert np.isnan(actual.features[[7, 31]]).all()


@pytest.mark.parametrize("n_classes", [10, 300])
@pytest.mark.parametrize("broken", [np.nan, -0.1, 0.5])
def test_bad_distributions_are_counted(n_classes: int, broken: float) -> None:
    p = problem((50, n_classes, 6), "f8")
    shares = p.shares.copy()
    shares[[3, 9], -1] += broken
    weight = np.ones(50)
    weight[3] = 0.0

    actual = run(p, shares, sample_weight=weight)

    assert actual.sums[2:] == (9, 1)
    assert_bit_equal(np.array([0.0, np.nan]), actual.losses[[3, 9]])


@pytest.mark.parametrize("n_classes", [3, 100])
def test_small_losses_and_their_gradients_keep_their_digits(n_classes: int) -> None:
    bias = np.full(n_classes, -1000.0)
    bias[:3] = 0.0, -20.0, -20.0
    p = problem((2, n_classes, 3), "f8")
    p = p._replace(weight=np.zeros((n_classes, 3)), bias=bias)

    actual = run(p, np.array([0, 0]), mean=False)

    s = 2 * mpmath.exp(-20)
    assert_close([float(mpmath.log1p(s))] * 2, actual.losses, rtol=1e-15, atol=0.0)
    assert_close(float(-2 * s / (1 + s)), actual.bias[0], rtol=1e-15, atol=0.0)


EDGES: dict[str, tuple[list[float], int, float]] = {
    "one +inf, the target": ([0.0, np.inf, 1.0], 1, 0.0),
    "one +inf, another": ([0.0, np.inf, 1.0], 0, np.inf),
    "two +inf": ([np.inf, np.inf, 1.0], 0, np.nan),
    "target -inf": ([-np.inf, 0.0, 1.0], 0, np.inf),
    "another -inf": ([-np.inf, 0.0, 1.0], 2, float(np.log1p(np.exp(-1.0)))),
    "NaN": ([np.nan, 0.0, 1.0], 2, np.nan),
    "all -inf": ([-np.inf] * 3, 2, np.nan),
}


@pytest.mark.parametrize("n_classes", [3, 100, 3000])
@pytest.mark.parametrize("edge", EDGES)
def test_logits_that_are_not_finite(edge: str, n_classes: int) -> None:
    logits, target, expected = EDGES[edge]
    bias = np.full(n_classes, -np.inf)
    bias[[0, n_classes // 2, n_classes - 1]] = logits
    target = [0, n_classes // 2, n_classes - 1][target]
    p = problem((2, n_classes, 3), "f8")
    p = p._replace(weight=np.zeros((n_classes, 3)), bias=bias)

    actual = run(p, np.array([target, target]), mean=False)

    assert_close([expected] * 2, actual.losses, rtol=1e-15, atol=0.0)
    assert np.isfinite(actual.bias).all() == (not np.isnan(expected))


def test_half_precision_logits_beyond_its_range() -> None:
    p = problem((1, 2, 2), "f2")
    p = p._replace(
        features=np.array([[240.0, 240.0]], "f2"),
        weight=np.array([[240.0, 240.0], [120.0, 120.0]], "f2"),
        bias=np.array([0.0, -0.6875], "f2"),
    )

    assert_close([57600.6875], run(p, np.array([1])).losses, rtol=1e-7, atol=0.0)


@pytest.mark.parametrize("shape", [(300, 10, 33), (150, 300, 129)])
@pytest.mark.parametrize("layout", ["Fortran", "reversed", "every second", "unaligned"])
def test_any_strides(shape: tuple[int, int, int], layout: str) -> None:
    p = problem(shape, "f4")

    def laid_out(a: np.ndarray) -> np.ndarray:
        if layout == "Fortran":
            return np.asfortranarray(a)
        if layout == "reversed":
            return np.ascontiguousarray(a[::-1, ::-1])[::-1, ::-1]
        if layout == "every second":
            return np.repeat(np.repeat(a, 2, axis=0), 2, axis=1)[::2, ::2]
        memory = np.zeros(a.nbytes + 1, np.uint8)[1:].view("f4").reshape(a.shape)
        memory[...] = a
        return memory

    actual = run(p._replace(features=laid_out(p.features), weight=laid_out(p.weight)), p.indices)

    assert_same_results(run(p, p.indices), actual)


@pytest.mark.parametrize("shape", [(300, 10, 33), (150, 300, 129)])
def test_a_power_of_two_for_all_weights_scales_exactly(shape: tuple[int, int, int]) -> None:
    p = problem(shape, "f8")
    options: dict[str, Any] = {"sample_weight": p.sample_weight, "mean": False}

    plain, scaled = run(p, p.indices, **options), run(p, p.indices, scale=0.25, **options)

    assert_bit_equal(plain.losses / 4, scaled.losses)
    assert_bit_equal(plain.weight / 4, scaled.weight)


@pytest.mark.parametrize("shape", [(300, 10, 33), (150, 300, 129)])
def test_nothing_outside_the_results_is_touched(shape: tuple[int, int, int]) -> None:
    p = problem(shape, "f4")
    memory = [np.full(a.size + 64, 7.0, "f4") for a in (p.weight, p.bias, p.features)]
    inside = [m[32:-32].reshape(a.shape) for m, a in zip(memory, (p.weight, p.bias, p.features), strict=True)]

    _cpu.linear_cross_entropy(
        p.features, p.weight, p.bias, p.indices, None, None, None, 0.0, 1.0, 1e-3, True, None, *inside
    )

    for m in memory:
        assert_bit_equal(np.full(64, 7.0, "f4"), np.concatenate([m[:32], m[-32:]]))


def _peak_bytes() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux lets a process forget its peak")
@pytest.mark.parametrize("dtype", [np.dtype("f4"), BF16], ids=str)
@pytest.mark.parametrize(("n_rows", "n_classes", "n_features"), [(400, 32768, 64), (60, 400_000, 24)])
def test_extra_memory_stays_below_64_megabytes(n_rows: int, n_classes: int, n_features: int, dtype: Any) -> None:
    p = problem((n_rows, n_classes, n_features), dtype)
    out = [np.ones_like(a) for a in (p.weight, p.bias, p.features)]
    Path("/proc/self/clear_refs").write_text("5")
    before = _peak_bytes()

    _cpu.linear_cross_entropy(
        *(bits(a) for a in p[:3]), p.indices, None, None, None, 0.0, 1.0, 1e-3, True, None, *map(bits, out), 2
    )

    assert _peak_bytes() - before <= 64 << 20


WRONG: dict[str, tuple[int, Any, type[Exception]]] = {
    "features of one axis": (0, np.zeros(3, "f4"), ValueError),
    "weight of another width": (1, np.zeros((3, 5), "f4"), ValueError),
    "weight of another dtype": (1, np.zeros((3, 4)), TypeError),
    "bias of another length": (2, np.zeros(4, "f4"), ValueError),
    "bias of another dtype": (2, np.zeros(3), TypeError),
    "too few targets": (3, np.zeros(1, np.int64), ValueError),
    "distributions of another shape": (3, np.zeros((2, 4), "f4"), ValueError),
    "targets of another type": (3, np.zeros(2, np.int32), TypeError),
    "sample weights of another length": (4, np.zeros(3), ValueError),
    "class weights in float32": (5, np.zeros(3, "f4"), TypeError),
    "losses in float32": (11, np.zeros(2, "f4"), TypeError),
    "gradient in Fortran order": (12, np.zeros((4, 3), "f4").T, ValueError),
    "gradient of another dtype": (12, np.zeros((3, 4)), TypeError),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_refused(case: str) -> None:
    place, wrong, error = WRONG[case]
    arguments: list[Any] = [np.zeros((2, 4), "f4"), np.zeros((3, 4), "f4"), None, np.zeros(2, np.int64), *[None] * 3]
    arguments += [0.0, 1.0, 1e-3, True, *[None] * 4]
    arguments[place] = wrong

    with pytest.raises(error):
        _cpu.linear_cross_entropy(*arguments)
