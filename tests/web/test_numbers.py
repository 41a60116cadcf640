"""The pure modules of the page against 50 digits and against Python, in node and in a browser."""

from __future__ import annotations

import json
import math
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asserts import assert_close
from golden import cases, floats, logits_of_recipe, values
from softclass import cross_entropy_value_and_gradient, log_softmax, logsumexp, softmax
from softclass.functions.derivatives import softmax_jacobian, softmax_jvp
from softclass.functions.head_losses import squared_error
from softclass.functions.precision import LARGEST_EXP, loss_variant, rounded
from softclass.functions.slow_learning import escape_constant, escape_time, even_escape_time, neuron_time
from web.engines import Ask, engine_fixtures

HERE = Path(__file__).parent
engine, node = engine_fixtures(HERE / "number_tasks.js")
SHORT = {"float64": "f64", "float32": "f32", "bfloat16": "bf16", "float16": "f16"}
LOSS = {"cross_entropy": "ce", "squared_error": "se", "eps": "eps", "clip": "clip"}


@lru_cache
def slow() -> dict[str, Any]:
    """Return the golden file of slow learning."""
    return json.loads((HERE.parent / "golden" / "slow_learning.json").read_text())  # type: ignore[no-any-return]


def called(engine: Ask, module: str, name: str, many: list[list[Any]]) -> list[Any]:
    """Return what a function of a module gives for many lists of arguments."""
    answers: list[Any] = engine("calls", requests=[[module, name, args] for args in many])
    return answers


def numbers(written: Any) -> np.ndarray:
    """Return nested lists of numbers and of "inf" and "nan" as floats."""
    return np.vectorize(float, otypes=[float])(np.array(written, dtype=object))


def joined(lists: list[Any]) -> np.ndarray:
    """Return lists of different lengths, one after another."""
    return np.concatenate([numbers(one).ravel() for one in lists])


def text(row: Any) -> list[Any]:
    """Return floats as JSON takes them."""
    return [
        float(x) if math.isfinite(x) else "nan" if math.isnan(x) else "inf" if x > 0 else "-inf" for x in np.ravel(row)
    ]


# ---- softmax and its relatives

GOLDEN_ROWS = [case for case in cases("softmax") if case["dtype"] == "float64" and case["classes"] <= 100]


def elements_of(case: dict[str, Any], key: str) -> list[tuple[int, int, float]]:
    """Return row, class and value of the elements that a golden case holds."""
    places = (divmod(index, case["classes"]) for index in case["elements"])
    return [(row, k, float(value)) for (row, k), value in zip(places, values(case[key]), strict=True)]


@pytest.mark.parametrize(("name", "key"), [("softmax", "probabilities"), ("logSoftmax", "log_probabilities")])
def test_softmax_of_the_golden_logits(engine: Ask, name: str, key: str) -> None:
    wanted = [(case, *element) for case in GOLDEN_ROWS for element in elements_of(case, key)]
    given = [
        [text(logits_of_recipe(case)[row]), float.fromhex(case["temperature"])]
        for case in GOLDEN_ROWS
        for row in range(case["rows"])
    ]
    starts = np.cumsum([0] + [case["rows"] for case in GOLDEN_ROWS])
    start = {id(case): first for case, first in zip(GOLDEN_ROWS, starts, strict=False)}
    answers = called(engine, "softmax", name, given)
    actual = [numbers(answers[start[id(case)] + row])[k] for case, row, k, _ in wanted]

    assert len(wanted) > 1000
    # Below the normal numbers every exponential is rounded to units of 5e-324.
    assert_close(np.array([value for *_, value in wanted]), np.array(actual), rtol=1e-12, atol=1e-321)


def test_logsumexp_of_the_golden_logits(engine: Ask) -> None:
    kept = [case for case in GOLDEN_ROWS if case["temperature"] == (1.0).hex()]
    given = [[text(row)] for case in kept for row in logits_of_recipe(case)]
    wanted = np.concatenate([values(case["log_partitions"]).astype(float) for case in kept])

    # Maximum and log1p of the rest may cancel: two roundings of numbers up to 1.
    assert_close(wanted, numbers(called(engine, "softmax", "logsumexp", given)), rtol=1e-12, atol=4e-16)


EDGES = {
    "empty": [],
    "one class": [3.0],
    "one class at -inf": [-math.inf],
    "one +inf": [1.0, math.inf, -math.inf],
    "two +inf": [math.inf, 1.0, math.inf],
    "only -inf": [-math.inf, -math.inf],
    "some -inf": [-math.inf, 0.0, 0.0],
    "nan": [math.nan, 1.0],
    "nan beside +inf": [math.inf, math.nan, 0.0],
    "ends of float64": [1e308, -1e308],
    "ties": [7.5, 7.5, 7.5],
    "zeros of both signs": [-0.0, 0.0],
}


@pytest.mark.parametrize("row", EDGES.values(), ids=EDGES)
@pytest.mark.parametrize(
    ("name", "python"), [("softmax", softmax), ("logSoftmax", log_softmax), ("logsumexp", logsumexp)]
)
def test_edges_are_those_of_python(engine: Ask, name: str, python: Any, row: list[float]) -> None:
    expected = np.asarray(python(np.array(row)))

    actual = numbers(called(engine, "softmax", name, [[text(row)]])[0])

    assert_close(expected, actual, rtol=1e-15, atol=0.0)


# ---- losses and derivatives


def rows_of(key: str) -> tuple[list[list[Any]], np.ndarray]:
    """Return arguments and values, one after another, of the golden rows of slow learning."""
    rows = slow()["rows"]
    wanted = [
        [row[key]["loss"], *row[key]["gradient"]] if isinstance(row[key], dict) else np.ravel(row[key]) for row in rows
    ]
    return [[text(row["logits"]), row["target"]] for row in rows], joined(wanted)


@pytest.mark.parametrize(
    ("name", "key"),
    [("softmax", "softmax"), ("logSoftmax", "log_softmax"), ("logsumexp", "logsumexp")],
)
def test_softmax_of_the_rows_of_slow_learning(engine: Ask, name: str, key: str) -> None:
    given, wanted = rows_of(key)

    actual = joined(
        [[one] if np.ndim(one) == 0 else one for one in called(engine, "softmax", name, [[z] for z, _ in given])]
    )

    assert_close(wanted, actual, rtol=1e-12, atol=0.0)


@pytest.mark.parametrize(("name", "key"), [("crossEntropy", "cross_entropy"), ("squaredError", "squared_error")])
def test_losses_and_gradients_of_the_rows_of_slow_learning(engine: Ask, name: str, key: str) -> None:
    given, wanted = rows_of(key)

    actual = joined([[one["loss"], *one["gradient"]] for one in called(engine, "loss", name, given)])

    assert_close(wanted, actual, rtol=1e-12, atol=0.0)


def test_entropy_and_temperature_of_the_golden_rows(engine: Ask) -> None:
    rows = slow()["temperatures"]
    probabilities = called(engine, "softmax", "softmax", [[row["logits"], row["temperature"]] for row in rows])
    kept = [[row["softmax"]] for row in rows + slow()["rows"]]

    entropies = called(engine, "softmax", "entropy", kept)

    assert_close(joined([row["softmax"] for row in rows]), joined(probabilities), rtol=1e-12, atol=0.0)
    # Of probabilities that were rounded to float64: 1 - p is good to a unit of 1, and is multiplied by ln p.
    wanted = numbers([row["entropy"] for row in rows + slow()["rows"]])
    assert_close(wanted, numbers(entropies), rtol=1e-12, atol=0.0)


def test_jacobian_is_that_of_python_and_its_rows_sum_to_zero(engine: Ask) -> None:
    shares = [softmax(np.array(row["logits"])) for row in slow()["rows"]]
    actual = called(engine, "loss", "jacobian", [[text(p)] for p in shares])
    sums = np.concatenate([numbers(one).sum(axis=1) for one in actual])

    # Python forms 1 - p, which is good to a unit of 1; here it is the sum of the others.
    assert_close(joined([softmax_jacobian(p) for p in shares]), joined(actual), rtol=1e-12, atol=2.3e-16)
    assert_close(np.zeros_like(sums), sums, rtol=0.0, atol=5e-17 * 10)


def test_product_with_the_jacobian(engine: Ask) -> None:
    # "small differences": what is given has lost the digits that the product is made of.
    rows = [row for row in slow()["rows"] if row["name"] != "small differences"]
    given = [[text(row["softmax"]), row["tangent"]] for row in rows]
    actual = joined(called(engine, "loss", "jacobianProduct", given))

    assert_close(joined([row["jacobian_product"] for row in rows]), actual, rtol=1e-12, atol=0.0)
    python = joined([softmax_jvp(np.array(row["softmax"]), np.array(row["tangent"])) for row in rows])
    assert_close(python, actual, rtol=1e-12, atol=4e-16)  # Python subtracts <p, v>: units of v


def python_losses() -> list[tuple[list[float], Any]]:
    """Return rows of random logits with an index or a soft target each."""
    draw = np.random.default_rng(6)
    made: list[tuple[list[float], Any]] = []
    for n_classes in (2, 3, 5, 10, 50):
        for scale in (0.3, 1.0, 3.0, 8.0):
            soft = draw.dirichlet(np.ones(n_classes))
            made.append((list(scale * draw.normal(size=n_classes)), int(draw.integers(n_classes))))
            made.append((list(scale * draw.normal(size=n_classes)), [float(share) for share in soft / soft.sum()]))
    return made


def test_losses_are_those_of_python(engine: Ask) -> None:
    rows = python_losses()
    for name, python in (("crossEntropy", cross_entropy_value_and_gradient), ("squaredError", squared_error)):
        expected = [python(np.array(z), np.asarray(target)) for z, target in rows]
        answers = called(engine, "loss", name, [[text(z), target] for z, target in rows])
        actual = joined([[one["loss"], *one["gradient"]] for one in answers])

        # A gradient on a class whose p is near its y is a difference of numbers up to 1.
        assert_close(joined([[loss, *gradient] for loss, gradient in expected]), actual, rtol=1e-12, atol=5e-16)


def test_the_bounds_of_the_squared_error_hold_and_are_reached(engine: Ask) -> None:
    draw = np.random.default_rng(4)
    rows = [
        (np.log(draw.dirichlet(np.full(n, alpha)) + 1e-300), int(draw.integers(n)))
        for n in (2, 3, 5, 10, 30)
        for alpha in (0.05, 0.2, 1.0)
        for _ in range(100)
    ]
    rows.append((np.log([1 / 3, 2 / 3]), 0))
    gradients = [
        numbers(one["gradient"]) for one in called(engine, "loss", "squaredError", [[text(z), t] for z, t in rows])
    ]
    largest = [max(float(np.linalg.norm(one, order)) for one in gradients) for order in (math.inf, 1, 2)]
    limits = [8 / 27, 16 / 27, 8 * math.sqrt(2) / 27]

    assert max(found - limit for found, limit in zip(largest, limits, strict=True)) <= 1e-12
    assert_close(np.array(limits), np.array(largest), rtol=1e-12, atol=0.0)  # the last row reaches all three


def test_the_length_of_the_gradients_while_one_wrong_class_leads(engine: Ask) -> None:
    kept = slow()["saturation"]
    rows = [[[0.0, case["margin"]] + [0.0] * (case["n_classes"] - 2), 0] for case in kept]
    for name, key in (("crossEntropy", "cross_entropy"), ("squaredError", "squared_error")):
        lengths = [np.linalg.norm(numbers(one["gradient"])) for one in called(engine, "loss", name, rows)]

        assert_close(numbers([case[key] for case in kept]), np.array(lengths), rtol=1e-12, atol=0.0)


# ---- precisions


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_rounding_to_a_precision(engine: Ask, precision: str) -> None:
    pairs = slow()["rounding"][precision]
    draw = np.random.default_rng(3)
    many = np.concatenate([draw.normal(size=300) * 10.0 ** draw.uniform(-46, 39, 300), draw.normal(size=100) * 1e-7])
    actual = numbers(called(engine, "precision", "round", [[value, SHORT[precision]] for value, _ in pairs]))
    random = numbers(called(engine, "precision", "round", [[value, SHORT[precision]] for value in text(many)]))

    assert_close(numbers([rounded for _, rounded in pairs]), actual, rtol=0.0, atol=0.0)
    assert_close(rounded(many, precision), random, rtol=0.0, atol=0.0)


def test_the_largest_exponents(engine: Ask) -> None:
    largest = called(engine, "precision", "LARGEST_EXP", [[]])[0]

    assert_close(
        numbers(list(slow()["largest_exp"].values())),
        np.array([largest[SHORT[name]] for name in slow()["largest_exp"]]),
        rtol=1e-15,
        atol=0.0,
    )
    assert {SHORT[name]: value for name, value in LARGEST_EXP.items()} == pytest.approx(largest, rel=1e-15)


@pytest.mark.parametrize("precision", SHORT)
@pytest.mark.parametrize("name", ["naive", "shift", "eps", "clip", "logsumexp"])
def test_five_ways_to_write_the_loss(engine: Ask, name: str, precision: str) -> None:
    kept = [case for case in slow()["loss_variants"] if (case["name"], case["precision"]) == (name, precision)]
    given = [[name, case["logits"], case["target"], SHORT[precision]] for case in kept]
    actual = joined([[one["loss"], *one["gradient"]] for one in called(engine, "loss", "lossVariant", given)])
    python = [loss_variant(name, case["logits"], case["target"], precision=precision) for case in kept]

    # The same operations in the same order; e^z and ln of two libraries may differ in the last bit of float64.
    tolerance = 1e-12 if precision == "float64" else 0.0
    assert_close(joined([[case["loss"], *case["gradient"]] for case in kept]), actual, rtol=tolerance, atol=0.0)
    assert_close(joined([[loss, *gradient] for loss, gradient in python]), actual, rtol=tolerance, atol=0.0)


@pytest.mark.parametrize("precision", SHORT)
@pytest.mark.parametrize("name", ["naive", "shift", "eps", "clip", "logsumexp"])
def test_the_first_margin_at_which_a_gradient_is_wrong(engine: Ask, name: str, precision: str) -> None:
    first = slow()["first_wrong_margin"][precision][name]
    margins = range(1201) if first is None else range(first + 1)
    rows = [[0.0, float(margin)] + [0.0] * 8 for margin in margins]
    answers = called(engine, "loss", "lossVariant", [[name, row, 0, SHORT[precision]] for row in rows])
    gradients = np.array([numbers(one["gradient"]) for one in answers])
    true = softmax(np.array(rows))
    push, pull = -true[:, 1:].sum(axis=1), true[:, 1]
    with np.errstate(invalid="ignore"):
        is_wrong = (
            ~np.isfinite(gradients).all(axis=1)
            | (np.abs(gradients[:, 0] - push) > 0.05 * np.abs(push))
            | (np.abs(gradients[:, 1] - pull) > 0.05 * np.maximum(pull, 0.01))
        )

    assert list(np.flatnonzero(is_wrong)) == ([] if first is None else [first])


# ---- random numbers


@pytest.mark.parametrize("seed", [0, 1, 2, 7, 12345, 2**32 - 1])
def test_draws_of_a_seed(engine: Ask, seed: int) -> None:
    random = slow()["random"]

    assert engine("draws", seed=seed, kind="next", count=8) == random["next"][str(seed)]
    normals = engine("draws", seed=seed, kind="normal", count=8)
    assert_close(np.array(random["normal"][str(seed)]), np.array(normals), rtol=1e-13, atol=1e-15)


def test_permutations_of_a_seed(engine: Ask) -> None:
    kept = slow()["random"]["permutation"]
    orders = [engine("permutation", seed=case["seed"], n=case["n"]) for case in kept]

    assert [case["order"][:100] for case in kept] == [order[: min(len(order), 100)] for order in orders]
    assert [sorted(order) for order in orders] == [list(range(case["n"])) for case in kept]


# ---- how long, by theory


def test_escape_times(engine: Ask) -> None:
    kept = [(case, loss) for case in slow()["escape_times"] for loss in LOSS]
    given = [
        [
            LOSS[loss],
            case["n_classes"],
            case["margin"],
            {"eta": case["learning_rate"], "squaredNorm": case["squared_norm"]},
        ]
        for case, loss in kept
    ]
    actual = numbers(called(engine, "escape_time", "escapeTime", given))
    python = [
        escape_time(
            loss, case["n_classes"], case["margin"],
            learning_rate=case["learning_rate"], squared_norm=case["squared_norm"],
        )
        for case, loss in kept
    ]  # fmt: skip

    assert_close(numbers([case[loss] for case, loss in kept]), actual, rtol=1e-12, atol=0.0)
    assert_close(np.array(python), actual, rtol=1e-12, atol=0.0)


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
def test_escape_times_from_equal_logits(engine: Ask, loss: str) -> None:
    kept = slow()["uniform_times"]
    given = [[LOSS[loss], case["n_classes"], case["learning_rate"]] for case in kept]
    actual = numbers(called(engine, "escape_time", "uniformTime", given))
    python = [even_escape_time(loss, case["n_classes"], learning_rate=case["learning_rate"]) for case in kept]

    assert_close(numbers([case[loss] for case in kept]), actual, rtol=1e-12, atol=0.0)
    assert_close(np.array(python), actual, rtol=1e-12, atol=0.0)


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
def test_times_of_one_neuron(engine: Ask, loss: str) -> None:
    kept = slow()["neuron_times"]
    ends = [math.log(case["below"] / (1 - case["below"])) for case in kept]
    given = [[LOSS[loss], case["start"], end, case["learning_rate"]] for case, end in zip(kept, ends, strict=True)]
    actual = numbers(called(engine, "escape_time", "neuronTime", given))
    python = [
        neuron_time(loss, case["start"], learning_rate=case["learning_rate"], below=case["below"]) for case in kept
    ]

    assert_close(numbers([case[loss] for case in kept]), actual, rtol=1e-12, atol=0.0)
    assert_close(np.array(python), actual, rtol=1e-12, atol=0.0)


def test_the_constant_of_squared_error(engine: Ask) -> None:
    kept = {int(n_classes): value for n_classes, value in slow()["escape_constants"].items()}
    actual = numbers(called(engine, "escape_time", "escapeConstant", [[n_classes] for n_classes in kept]))

    assert_close(numbers(list(kept.values())), actual, rtol=1e-12, atol=0.0)
    assert_close(np.array([escape_constant(n_classes) for n_classes in kept]), actual, rtol=1e-12, atol=0.0)


# ---- the losses of the other golden file


def test_cross_entropy_of_the_golden_losses(engine: Ask) -> None:
    kept = [
        case
        for case in cases("losses")
        if case["dtype"] == "float64" and case["sample_weight"] is case["class_weight"] is case["ignore_index"] is None
    ]
    rows, targets, wanted = [], [], []
    for case in kept:
        smoothing = float.fromhex(case["label_smoothing"])
        for z, target, loss, gradient in zip(
            floats(case["logits"]), case["targets"], values(case["none"]), values(case["gradient"]), strict=True
        ):
            index = target if isinstance(target, int) else [float.fromhex(share) for share in target]
            targets.append([index, len(z), smoothing])
            rows.append(text(z))
            wanted.append([float(loss), *(float(one) for one in gradient)])
    shares = called(engine, "loss", "distribution", targets)
    answers = called(engine, "loss", "crossEntropy", [list(pair) for pair in zip(rows, shares, strict=True)])

    assert len(rows) > 5
    assert_close(joined(wanted), joined([[one["loss"], *one["gradient"]] for one in answers]), rtol=1e-12, atol=4e-16)
