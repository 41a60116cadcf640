"""Every row of the two tables of edges: NaN, infinities, absent classes, ignored rows, empty arrays, bad targets."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import softclass
from asserts import assert_bit_equal, assert_ulp
from golden import cases, floats, values
from softclass.errors import ShapeError, SoftclassError

TYPES = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16, "float32": np.float32, "float64": np.float64}
FAMILY = [
    pytest.param(case, dtype, id=f"{case['name']}-{dtype}")
    for case in cases("edges")
    if case["kind"] == "family"
    for dtype in case["dtypes"]
]
LOSSES = [
    pytest.param(case, dtype, id=f"{case['name']}-{dtype}")
    for case in cases("edges")
    if case["kind"] == "loss"
    for dtype in TYPES
]
family = pytest.mark.parametrize(("case", "dtype"), FAMILY)
losses = pytest.mark.parametrize(("case", "dtype"), LOSSES)
nan, inf = np.nan, np.inf


class Edge:
    """A row, alone or padded with absent classes at the end, and what it gives."""

    def __init__(self, case: dict[str, Any], dtype: str, n_more: int = 0) -> None:
        self.type = TYPES[dtype]
        self.row = np.concatenate([floats(case["logits"]), np.full(n_more, -inf)]).astype(self.type)
        self.where = None if case["where"] is None else np.array(case["where"] + [False] * n_more)
        self.n_more = n_more
        self.probabilities = self.padded(values(case["probabilities"]), 0.0)
        self.log_probabilities = self.padded(values(case["log_probabilities"]), -inf)
        self.log_partition = values([case["log_partition"]])[0]
        self.vjp = self.padded(values(case["vjp"]), 0.0)

    def padded(self, expected: np.ndarray, absent: float) -> np.ndarray:
        """Return the values with those of absent classes; a row is NaN throughout or nowhere."""
        whole = np.isnan(expected).any()
        return np.concatenate([expected, np.full(self.n_more, nan if whole else absent)])

    def options(self, shape: tuple[int, ...] = ()) -> dict[str, Any]:
        """Return `where` if there is one, for rows in the last axis."""
        return {} if self.where is None else {"where": np.broadcast_to(self.where, (*shape, self.row.size))}


# 17 and 41 classes lie on both sides of what one vector register, 65 and 1000 of what one block of sums holds.
widths = pytest.mark.parametrize("n_more", [0, 14, 38, 997])


def padded_pairs() -> Any:
    """Parametrize by edges that may have more classes: a row of no class is no longer empty."""
    pairs = [param for param in FAMILY if param.values[0]["name"] != "no class"]
    return pytest.mark.parametrize(("case", "dtype"), pairs)


@widths
@padded_pairs()
def test_an_edge(case: dict[str, Any], dtype: str, n_more: int) -> None:
    edge = Edge(case, dtype, n_more)

    assert_ulp(edge.probabilities, softclass.softmax(edge.row, **edge.options()), ulps=0.5)
    assert_ulp(edge.log_probabilities, softclass.log_softmax(edge.row, **edge.options()), ulps=1)
    assert_ulp(edge.log_partition, softclass.logsumexp(edge.row, **edge.options()), ulps=1)


@family
def test_an_edge_keeps_shape_and_type(case: dict[str, Any], dtype: str) -> None:
    edge = Edge(case, dtype)

    probabilities, logs = (f(edge.row, **edge.options()) for f in (softclass.softmax, softclass.log_softmax))
    log_partition = softclass.logsumexp(edge.row, **edge.options())

    assert (probabilities.shape, probabilities.dtype) == (edge.row.shape, edge.row.dtype)
    assert (logs.shape, logs.dtype) == (edge.row.shape, edge.row.dtype)
    assert (log_partition.shape, log_partition.dtype) == ((), np.float64 if dtype == "float64" else np.float32)


@widths
@padded_pairs()
def test_derivative_of_softmax_at_an_edge(case: dict[str, Any], dtype: str, n_more: int) -> None:
    edge = Edge(case, dtype, n_more)
    cotangent = np.concatenate([2.0 ** np.arange(len(case["logits"])), np.ones(n_more)]).astype(edge.type)
    probabilities = softclass.softmax(edge.row, **edge.options())

    found = softclass.softmax_vjp(probabilities, cotangent)

    # A row whose probabilities are NaN has no derivative, nor has the rest of one that holds a NaN.
    expected = np.where(np.isnan(edge.vjp).any(), np.longdouble(nan), edge.vjp)
    assert_ulp(expected, found, ulps=0)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
@family
def test_temperature_changes_no_edge_of_infinities(case: dict[str, Any], dtype: str, temperature: float) -> None:
    edge = Edge(case, dtype)

    found = softclass.softmax(edge.row, temperature=temperature, **edge.options())

    assert_ulp(edge.probabilities, found, ulps=0.5)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("place", [16, 36])
@padded_pairs()
def test_an_edge_among_other_rows_leaves_their_bits(case: dict[str, Any], dtype: str, place: int, axis: int) -> None:
    edge = Edge(case, dtype)
    others = (np.arange(37 * edge.row.size) * 37 % 101 / 16).reshape(37, -1).astype(edge.type)
    batch = others.copy()
    batch[place] = edge.row
    where = np.ones(batch.shape, dtype=bool)
    where[place] = True if edge.where is None else edge.where
    expected = softclass.softmax(others)

    found = softclass.softmax(batch if axis else batch.T, axis=axis, where=where if axis else where.T)

    found = found if axis else found.T
    assert_ulp(edge.probabilities, found[place], ulps=0.5)
    assert_bit_equal(np.delete(expected, place, axis=0), np.delete(found, place, axis=0))


@pytest.mark.parametrize(
    "case", [param.values[0] for param in FAMILY if param.values[1] == "float32"], ids=lambda c: c["name"]
)
def test_logsumexp_of_an_edge_in_a_huge_row(case: dict[str, Any]) -> None:
    """In every block but one there are only absent classes."""
    edge = Edge(case, "float32")
    row = np.full(200_000, -inf, dtype=np.float32)
    where = None if edge.where is None else np.zeros(row.size, dtype=bool)
    row[150_000 : 150_000 + edge.row.size] = edge.row
    options = {}
    for _ in range(where is not None):
        where[150_000 : 150_000 + edge.row.size] = edge.where
        options = {"where": where}

    assert_ulp(edge.log_partition, softclass.logsumexp(row, **options), ulps=1)


SHAPES = [(0, 3), (3, 0), (0, 0), (2, 0, 4), (2, 3, 0)]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("shape", SHAPES)
def test_empty_arrays_stay_empty(shape: tuple[int, ...], axis: int, dtype: str) -> None:
    empty = np.empty(shape, dtype=TYPES[dtype])

    assert_bit_equal(empty, softclass.softmax(empty, axis=axis))
    assert_bit_equal(empty, softclass.log_softmax(empty, axis=axis))


@pytest.mark.parametrize("axis", [0, 1, -1, None, (0, 1)])
@pytest.mark.parametrize("shape", SHAPES)
def test_logsumexp_over_no_class_is_minus_infinity(shape: tuple[int, ...], axis: Any) -> None:
    expected = np.full(np.sum(np.empty(shape), axis=axis).shape, -inf)

    assert_bit_equal(expected, np.asarray(softclass.logsumexp(np.empty(shape), axis=axis)))


@pytest.mark.parametrize("function", ["softmax", "log_softmax", "logsumexp"])
def test_a_single_number_has_no_axis(function: str) -> None:
    with pytest.raises(ShapeError, match=r"^\[SC102\]"):
        getattr(softclass, function)(np.array(1.5))


@pytest.mark.parametrize(("function", "expected"), [("softmax", 1.0), ("log_softmax", 0.0), ("logsumexp", 1.5)])
def test_a_single_number_is_one_class_of_all_its_axes(function: str, expected: float) -> None:
    assert_bit_equal(np.array(expected), np.asarray(getattr(softclass, function)(np.array(1.5), axis=None)))


# ---- losses
def arguments(case: dict[str, Any], dtype: str) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Return logits, targets, options."""
    logits = floats(case["logits"], TYPES[dtype]).reshape(len(case["logits"]), -1 if case["logits"] else 3)
    soft = np.ndim(case["targets"]) == 2
    targets = floats(case["targets"], TYPES[dtype]) if soft else np.array(case["targets"], dtype=np.int64)
    options = {name: case[name] and floats(case[name]) for name in ("sample_weight", "class_weight")}
    options |= {"ignore_index": case["ignore_index"], "label_smoothing": float.fromhex(case["label_smoothing"])}
    return logits, targets, options


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@losses
def test_loss_and_gradient_of_an_edge(case: dict[str, Any], dtype: str, reduction: str) -> None:
    logits, targets, options = arguments(case, dtype)
    divisor = case["weight_sum"] or 1.0 if reduction == "mean" else 1.0
    expected = values(case["gradient"]).reshape(logits.shape) / divisor

    alone = softclass.cross_entropy(logits, targets, reduction=reduction, **options)
    loss, gradient = softclass.cross_entropy_value_and_gradient(logits, targets, reduction=reduction, **options)

    assert (loss.dtype, gradient.dtype) == (np.float64 if dtype == "float64" else np.float32, logits.dtype)
    assert_ulp(values([case[reduction]])[0], alone, ulps=1)
    assert_ulp(values([case[reduction]])[0], loss, ulps=1)
    # p and q may cancel: a unit of numbers below 1
    assert_ulp(expected, gradient, ulps=1, atol=float(ml_dtypes.finfo(logits.dtype).eps) / 2)


REFUSED = [pytest.param(case, id=case["name"]) for case in cases("edges") if case["kind"] == "refused"]


@pytest.mark.parametrize("function", ["cross_entropy", "cross_entropy_value_and_gradient"])
@pytest.mark.parametrize("case", REFUSED)
def test_a_call_is_refused(case: dict[str, Any], function: str) -> None:
    logits, targets, options = arguments(case, "float64")

    with pytest.raises(SoftclassError) as caught:
        getattr(softclass, function)(logits, targets, **options)

    assert caught.value.code == case["error"]


@pytest.mark.parametrize("function", ["cross_entropy", "cross_entropy_value_and_gradient"])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_no_row_and_no_class(function: str, reduction: str) -> None:
    found = getattr(softclass, function)(np.empty((0, 0)), np.empty(0, dtype=int), reduction=reduction)

    expected = {"none": np.empty(0), "sum": np.array(0.0), "mean": np.array(nan)}[reduction]
    together = (expected, np.empty((0, 0))) if function != "cross_entropy" else (expected,)
    for wanted, got in zip(together, found if isinstance(found, tuple) else (found,), strict=True):
        assert_bit_equal(wanted, np.asarray(got))


# ---- rows that are not there
def batch_with_holes(n_classes: int, form: str, dtype: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return ordinary logits and targets of 40 rows, and which of them are not to count."""
    draw = np.random.default_rng([n_classes, len(form)])
    logits = (draw.normal(size=(40, n_classes)) * 3).astype(TYPES[dtype])
    absent = draw.random(40) < 0.4
    absent[[0, 15, 16, 39]] = True
    targets = draw.integers(n_classes - 1, size=40) + 1  # class 0 is left to rows that are not there
    if form == "index":
        return logits, targets, absent
    return logits, np.eye(n_classes, dtype=TYPES[dtype])[targets], absent


GARBAGE = {"NaN": [nan], "+inf": [inf], "everything": [nan, inf, -inf, 1e4, -1e4]}
BAD_TARGETS = {"index": -(2**62), "distribution": nan}
FORMS = [
    ("index", "ignore_index"),
    ("index", "sample_weight"),
    ("index", "class_weight"),
    ("distribution", "sample_weight"),
    ("distribution", "class_weight"),
]


@pytest.mark.parametrize("smoothing", [0.0, 0.125])
@pytest.mark.parametrize(
    ("n_classes", "layout"), [(2, "rows"), (3, "columns"), (16, "rows"), (41, "rows"), (130, "rows"), (130, "columns")]
)
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize(("form", "by"), FORMS)
def test_rows_that_are_not_there_change_no_bit(
    form: str, by: str, garbage: str, dtype: str, n_classes: int, smoothing: float, layout: str
) -> None:
    logits, targets, absent = batch_with_holes(n_classes, form, dtype)
    options: dict[str, Any] = {"label_smoothing": smoothing, "axis": 0 if layout == "columns" else -1}
    dirty, dirty_targets = logits.copy(), targets.copy()
    dirty[absent] = np.resize(np.array(GARBAGE[garbage]), n_classes)
    if by == "sample_weight":
        options[by] = np.where(absent, 0.0, 1.5)
        dirty_targets[absent] = BAD_TARGETS[form]
    elif by == "class_weight":  # the rows' target is the class of weight 0
        options[by] = np.r_[0.0, np.full(n_classes - 1, 0.75)]
        targets[absent] = dirty_targets[absent] = np.eye(n_classes)[0] if form == "distribution" else 0
    else:
        options[by] = -100
        targets[absent] = dirty_targets[absent] = -100
    turned = np.transpose if layout == "columns" else np.asarray
    turned_targets = turned if form == "distribution" else np.asarray

    clean = softclass.cross_entropy_value_and_gradient(turned(logits), turned_targets(targets), **options)
    found = softclass.cross_entropy_value_and_gradient(turned(dirty), turned_targets(dirty_targets), **options)
    value = softclass.cross_entropy(turned(dirty), turned_targets(dirty_targets), **options)

    assert_bit_equal(clean[0], found[0])
    assert_bit_equal(clean[1], found[1])
    assert_bit_equal(np.asarray(clean[0]), np.asarray(value))


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("n_classes", [2, 3, 16, 41, 130])
def test_rows_that_are_not_there_might_as_well_be_taken_out(n_classes: int, dtype: str, reduction: str) -> None:
    logits, targets, absent = batch_with_holes(n_classes, "index", dtype)
    logits[absent] = nan
    targets[absent] = -1
    kept = softclass.cross_entropy_value_and_gradient(logits[~absent], targets[~absent], reduction=reduction)

    loss, gradient = softclass.cross_entropy_value_and_gradient(logits, targets, ignore_index=-1, reduction=reduction)

    # The rows that are left may stand elsewhere in the sums, which are of float64
    ulps = 0 if reduction == "none" else 2
    assert_ulp(np.asarray(kept[0]).astype(np.longdouble), loss[~absent] if reduction == "none" else loss, ulps=ulps)
    assert_ulp(kept[1].astype(np.longdouble), gradient[~absent], ulps=1 if reduction == "mean" else 0)
    assert_bit_equal(np.zeros((absent.sum(), n_classes), dtype=logits.dtype), gradient[absent])


@pytest.mark.parametrize("wrt", [("weight", "bias"), ("weight", "bias", "features")])
@pytest.mark.parametrize("sizes", [(3, 4), (10, 64), (70, 33), (300, 20)], ids=str)
@pytest.mark.parametrize("dtype", TYPES)
def test_linear_rows_that_are_not_there_change_no_bit(dtype: str, sizes: tuple[int, int], wrt: tuple[str, ...]) -> None:
    n_classes, n_features = sizes
    draw = np.random.default_rng(n_classes)
    features, weight = (draw.normal(size=(n, n_features)).astype(TYPES[dtype]) for n in (40, n_classes))
    bias = draw.normal(size=n_classes).astype(TYPES[dtype])
    _, targets, absent = batch_with_holes(n_classes, "index", dtype)
    targets[absent] = -7
    dirty = features.copy()
    dirty[absent] = np.resize([nan, inf, -inf], n_features)
    options: dict[str, Any] = {"bias": bias, "ignore_index": -7, "wrt": wrt}

    clean_loss, clean = softclass.linear_cross_entropy_value_and_gradient(features, weight, targets, **options)
    loss, gradients = softclass.linear_cross_entropy_value_and_gradient(dirty, weight, targets, **options)

    assert_bit_equal(clean_loss, loss)
    assert_bit_equal(clean.weight, gradients.weight)
    assert_bit_equal(np.asarray(clean.features), np.asarray(gradients.features))


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("by", ["ignore_index", "class_weight"])
def test_a_linear_batch_of_padding_leaves_the_weights(by: str, reduction: str) -> None:
    options: dict[str, Any] = {"ignore_index": 1} if by == "ignore_index" else {"class_weight": [1.0, 0.0, 1.0]}
    features = np.full((5, 4), inf)

    loss = softclass.linear_cross_entropy(
        features, np.ones((3, 4)), np.ones(5, dtype=int), reduction=reduction, **options
    )

    assert_bit_equal({"none": np.zeros(5), "sum": np.float64(0), "mean": np.float64(nan)}[reduction], loss)


@pytest.mark.parametrize("by", ["ignore_index", "class_weight"])
def test_a_linear_batch_of_padding_has_no_gradient(by: str) -> None:
    options: dict[str, Any] = {"ignore_index": 1} if by == "ignore_index" else {"class_weight": [1.0, 0.0, 1.0]}
    features, weight = np.full((5, 4), inf), np.ones((3, 4))

    _, gradients = softclass.linear_cross_entropy_value_and_gradient(
        features, weight, np.ones(5, dtype=int), wrt=("weight", "features"), **options
    )

    assert_bit_equal(np.zeros((3, 4)), gradients.weight)
    assert_bit_equal(np.zeros((5, 4)), gradients.features)
