"""The functions on NumPy arrays against the golden files: 50-digit values for every language of the project."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import softclass
from asserts import assert_bit_equal, assert_ulp
from golden import cases, floats, logits_of_recipe, values

# Units in the last place. Entries of the softmax family are the bounds of the project; what float64 reaches is less.
SOFTMAX = {"float32": 2.5, "float64": 4.0}
LOG_SOFTMAX = {"float32": 1.5, "float64": 2.0}
LOGSUMEXP = {"float32": 1.0, "float64": 1.0}
LOSS = {"float32": 1.0, "float64": 2.0}
# A mean of smoothed and weighted losses: the losses, and half a unit each for weight, sum and division.
REDUCED = {"float32": 1.0, "float64": 3.0}
GRADIENT = {"float32": 3.5, "float64": 5.0}
CANCELLED = {"float32": 2.0**-23, "float64": 2.0**-52}  # where maximum and log of the rest cancel


def lost_in_subnormals(case: dict[str, Any]) -> float:
    """Return half the smallest number a class: every exponential is rounded to such a number before it joins a sum."""
    smallest = float(np.finfo(case["dtype"]).smallest_subnormal)
    return smallest * (1 + case["classes"] / 2) if case["name"].startswith(("subnormal", "dominant 90")) else 0.0


rows = pytest.mark.parametrize("case", cases("softmax"), ids=lambda case: f"{case['name']}, {case['dtype']}")


@rows
def test_softmax_and_log_softmax(case: dict[str, Any]) -> None:
    logits, temperature = logits_of_recipe(case), float.fromhex(case["temperature"])
    atol = lost_in_subnormals(case)

    probabilities = softclass.softmax(logits, temperature=temperature).ravel()[case["elements"]]
    logs = softclass.log_softmax(logits, temperature=temperature).ravel()[case["elements"]]

    assert_bit_equal(floats(case["first"], case["dtype"]), logits.ravel()[:3])  # the recipe is read as it is meant
    assert_ulp(values(case["probabilities"]), probabilities, ulps=SOFTMAX[case["dtype"]])
    assert_ulp(values(case["log_probabilities"]), logs, ulps=LOG_SOFTMAX[case["dtype"]], atol=atol)


plain_rows = pytest.mark.parametrize(
    "case",
    [case for case in cases("softmax") if float.fromhex(case["temperature"]) == 1],
    ids=lambda case: f"{case['name']}, {case['dtype']}",
)


@plain_rows
def test_loss_and_gradient_of_the_label(case: dict[str, Any]) -> None:
    """The loss is small or 0 rounded and the entry of the target is -(1 - p): what subtraction loses."""
    logits, labels, dtype = logits_of_recipe(case), np.array(case["labels"]), case["dtype"]
    elements = np.array(case["elements"])
    places = np.arange(len(labels)) * case["classes"] + labels
    at_label = np.searchsorted(elements, places)
    expected = values(case["probabilities"])
    expected[at_label] = -values(case["label_complements"])
    atol = lost_in_subnormals(case)

    losses, gradient = softclass.cross_entropy_value_and_gradient(logits, labels, reduction="none")

    assert_ulp(-values(case["log_probabilities"])[at_label], losses, ulps=LOSS[dtype], atol=atol)
    assert_ulp(expected, gradient.ravel()[elements], ulps=GRADIENT[dtype], atol=atol)


@plain_rows
def test_logsumexp_and_the_loss_of_another_class(case: dict[str, Any]) -> None:
    """The first class that is written and not the label, in every row."""
    logits, dtype, elements = logits_of_recipe(case), case["dtype"], np.array(case["elements"])
    in_row, classes = elements // case["classes"], elements % case["classes"]
    other = np.flatnonzero(classes != np.array(case["labels"])[in_row])
    _, first = np.unique(in_row[other], return_index=True)
    chosen = other[first]

    losses = softclass.cross_entropy(logits, classes[chosen], reduction="none")
    log_partitions = softclass.logsumexp(logits)

    assert_ulp(values(case["log_partitions"]), log_partitions, ulps=LOGSUMEXP[dtype], atol=CANCELLED[dtype])
    assert_ulp(-values(case["log_probabilities"])[chosen], losses, ulps=LOSS[dtype])


# ---- losses: every combination of options
def name_of_loss(case: dict[str, Any]) -> str:
    words = [case["dtype"]] if "dtype" in case else []
    words += ["hard" if np.ndim(case["targets"]) == 1 else "soft"]
    words += [name for name in ("sample_weight", "class_weight", "ignore_index", "bias") if case.get(name) is not None]
    return " ".join(words + ["smoothed"] * (float.fromhex(case["label_smoothing"]) > 0))


def options_of(case: dict[str, Any]) -> dict[str, Any]:
    found = {name: None if case[name] is None else floats(case[name]) for name in ("sample_weight", "class_weight")}
    return {
        **found,
        "label_smoothing": float.fromhex(case["label_smoothing"]),
        "ignore_index": case["ignore_index"],
    }


def targets_of(case: dict[str, Any], dtype: Any) -> np.ndarray:
    hard = np.ndim(case["targets"]) == 1
    return np.array(case["targets"], dtype=np.int64) if hard else floats(case["targets"], dtype)


def divisor_of(case: dict[str, Any], reduction: str) -> np.longdouble:
    return values([case["weight_sum"]])[0] if reduction == "mean" else np.longdouble(1)


losses = pytest.mark.parametrize("case", cases("losses"), ids=name_of_loss)
reductions = pytest.mark.parametrize("reduction", ["none", "sum", "mean"])


@reductions
@losses
def test_loss_with_options(case: dict[str, Any], reduction: str) -> None:
    dtype = case["dtype"]
    expected = values(case[reduction] if reduction == "none" else [case[reduction]])

    found = softclass.cross_entropy(
        floats(case["logits"], dtype), targets_of(case, dtype), reduction=reduction, **options_of(case)
    )

    assert_ulp(expected, np.atleast_1d(found), ulps=(LOSS if reduction == "none" else REDUCED)[dtype])


@reductions
@losses
def test_value_and_gradient_with_options(case: dict[str, Any], reduction: str) -> None:
    dtype, logits = case["dtype"], floats(case["logits"], case["dtype"])
    divisor = divisor_of(case, reduction)
    expected = values(case["gradient"]) / divisor

    loss, gradient = softclass.cross_entropy_value_and_gradient(
        logits, targets_of(case, dtype), reduction=reduction, **options_of(case)
    )

    value = values(case[reduction] if reduction == "none" else [case[reduction]])
    assert_ulp(value, np.atleast_1d(loss), ulps=(LOSS if reduction == "none" else REDUCED)[dtype])
    assert_ulp(expected, gradient, ulps=GRADIENT[dtype], atol=cancelled(case, logits) / float(divisor))


def cancelled(case: dict[str, Any], logits: np.ndarray) -> float:
    """Return what p - q may lose where both are given and near: the bound at the size of p, times the row weight."""
    plain = np.ndim(case["targets"]) == 1 and float.fromhex(case["label_smoothing"]) == 0
    weights = [float.fromhex(w) for name in ("sample_weight", "class_weight") for w in [max_of(case[name])]]
    return 0.0 if plain else float(np.prod(weights)) * GRADIENT[case["dtype"]] * float(np.finfo(logits.dtype).eps) / 2


def max_of(written: list[str] | None) -> str:
    return "0x1p+0" if written is None else max(written, key=float.fromhex)


# ---- linear: features and weights of few bits, so that the logits are exact
linear = pytest.mark.parametrize("case", cases("linear"), ids=name_of_loss)
dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])
ARRAYS = ("features", "weight", "bias")


def linear_arguments(case: dict[str, Any], dtype: str) -> dict[str, Any]:
    return {
        "features": floats(case["features"], dtype),
        "weight": floats(case["weight"], dtype),
        "bias": None if case["bias"] is None else floats(case["bias"], dtype),
        "targets": targets_of(case, dtype),
        **options_of(case),
    }


@reductions
@dtypes
@linear
def test_linear_loss(case: dict[str, Any], dtype: str, reduction: str) -> None:
    found = softclass.linear_cross_entropy(**linear_arguments(case, dtype), reduction=reduction)

    expected = values(case[reduction] if reduction == "none" else [case[reduction]])
    assert_ulp(expected, np.atleast_1d(found), ulps=LOSS[dtype])


def product_bound(dtype: str) -> float:
    """Return what a sum of about ten products may lose: entries to about 3, row weights to about 7."""
    return 40 * float(np.finfo(dtype).eps)


def linear_pairs(*names: str) -> Any:
    """Parametrize by every case and every array of it that such a name stands for."""
    pairs = [(case, name) for case in cases("linear") for name in names if case.get(name, ()) is not None]
    return pytest.mark.parametrize(
        ("case", "name"), pairs, ids=[f"{name_of_loss(case)}-{name}" for case, name in pairs]
    )


value_reductions = pytest.mark.parametrize("reduction", ["sum", "mean"])


@value_reductions
@dtypes
@linear_pairs("features", "weight", "bias")
def test_linear_gradient(case: dict[str, Any], name: str, dtype: str, reduction: str) -> None:
    expected = values(case[f"{name}_gradient"]) / divisor_of(case, reduction)

    loss, gradients = softclass.linear_cross_entropy_value_and_gradient(
        **linear_arguments(case, dtype), reduction=reduction, wrt=(name,)
    )

    assert_ulp(values([case[reduction]]), np.atleast_1d(loss), ulps=LOSS[dtype])
    assert_ulp(expected, getattr(gradients, name), ulps=0, atol=product_bound(dtype))
    assert [getattr(gradients, other) for other in ARRAYS if other != name] == [None] * 2


@value_reductions
@dtypes
@linear_pairs("weight", "bias")
def test_linear_hessian_product(case: dict[str, Any], name: str, dtype: str, reduction: str) -> None:
    arguments = linear_arguments(case, dtype)
    tangents = {
        f"{array}_tangent": floats(case[f"{array}_tangent"], dtype)
        for array in ("weight", "bias")
        if arguments[array] is not None
    }
    expected = values(case[f"{name}_product"]) / divisor_of(case, reduction)

    found = softclass.linear_cross_entropy_hvp(**arguments, **tangents, reduction=reduction)

    assert_ulp(expected, getattr(found, name), ulps=0, atol=2 * product_bound(dtype))


@pytest.mark.slow
def test_the_script_makes_the_files() -> None:
    script = Path(__file__).resolve().parents[2] / "scripts" / "make_golden_values.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "")
