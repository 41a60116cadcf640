"""The node cases of the ONNX standard for the operators that our functions are: none is left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnx.backend.test.case.node as node_cases
import pytest

import softclass
from asserts import assert_close

MODULES = ("softmax", "logsoftmax", "softmax_cross_entropy_loss", "negativeloglikelihoodloss", "reduce_log_sum_exp")
# Those of the release at hand; a release that adds cases adds tests, one that loses some makes us look.
AT_LEAST = {
    "Softmax": 7,
    "LogSoftmax": 7,
    "SoftmaxCrossEntropyLoss": 34,
    "NegativeLogLikelihoodLoss": 18,
    "ReduceLogSumExp": 9,
}


class Case(NamedTuple):
    """One node with arrays that go in and come out."""

    operator: str
    attributes: dict[str, Any]
    inputs: list[np.ndarray]
    outputs: list[np.ndarray]
    name: str


@contextmanager
def recorded() -> Iterator[list[Case]]:
    """Take note of the cases instead of making models of them, which for all operators takes five seconds."""
    found: list[Case] = []

    def note(node: onnx.NodeProto, inputs: list[np.ndarray], outputs: list[np.ndarray], name: str, **_: Any) -> None:
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        found.append(Case(node.op_type, attributes, [np.array(i) for i in inputs], list(map(np.array, outputs)), name))

    original = node_cases.expect
    node_cases.expect = note
    yield found
    node_cases.expect = original


with recorded() as CASES, np.errstate(all="ignore"):
    for module in MODULES:
        import_module(f"{node_cases.__name__}.{module}")  # its classes hand their cases over when they are defined


def named(name: str) -> Any:
    """Return the decorator for the cases of one operator."""
    return pytest.mark.parametrize(
        "case", [pytest.param(case, id=case.name) for case in CASES if case.operator == name]
    )


def test_every_case_runs() -> None:
    counted = Counter(case.operator for case in CASES)

    assert set(counted) == set(AT_LEAST)
    assert [name for name in AT_LEAST if counted[name] < AT_LEAST[name]] == []


def assert_same(expected: np.ndarray, actual: Any) -> None:
    """Equal to the tolerance of the standard's own runner."""
    assert_close(expected, np.asarray(actual), rtol=1e-3, atol=1e-7)


@named("Softmax")
def test_softmax(case: Case) -> None:
    assert_same(case.outputs[0], softclass.softmax(case.inputs[0], axis=case.attributes.get("axis", -1)))


@named("LogSoftmax")
def test_log_softmax(case: Case) -> None:
    assert_same(case.outputs[0], softclass.log_softmax(case.inputs[0], axis=case.attributes.get("axis", -1)))


@named("ReduceLogSumExp")
def test_logsumexp(case: Case) -> None:
    """An empty list of axes means all of them, as our None does."""
    data, axes = case.inputs
    keepdims = bool(case.attributes.get("keepdims", 1))

    found = softclass.logsumexp(data, axis=tuple(axes.tolist()) or None, keepdims=keepdims)

    assert_same(case.outputs[0], found)


def loss_options(case: Case) -> dict[str, Any]:
    """Return the options that two operators have in common."""
    return {
        "axis": 1,
        "class_weight": case.inputs[2] if len(case.inputs) > 2 else None,
        "ignore_index": case.attributes.get("ignore_index"),
        "reduction": case.attributes.get("reduction", b"mean").decode(),
    }


@named("SoftmaxCrossEntropyLoss")
def test_cross_entropy(case: Case) -> None:
    """The second output, where there is one, is log_softmax."""
    logits, targets = case.inputs[:2]

    found = [softclass.cross_entropy(logits, targets, **loss_options(case)), softclass.log_softmax(logits, axis=1)]

    for expected, actual in zip(case.outputs, found, strict=False):
        assert_same(expected, actual)


@named("NegativeLogLikelihoodLoss")
def test_cross_entropy_of_log_probabilities(case: Case) -> None:
    """Of log-probabilities, whose rows sum to 1, cross-entropy is this loss.

    The inputs of the cases are any numbers x, so each row gets one class more, no target of any row, that fills its
    sum up to one and the same e^c: the row minus c is a row of log-probabilities, and its loss is c - x of the target.
    """
    x, targets = case.inputs[0].astype(np.float64), case.inputs[1]
    options = loss_options(case)
    log_sums = softclass.logsumexp(x, axis=1, keepdims=True)
    c = float(log_sums.max()) + 1
    filled = np.concatenate([x, c + np.log(-np.expm1(log_sums - c))], axis=1)
    weight = np.ones(x.shape[1]) if options["class_weight"] is None else options["class_weight"]
    weights = np.where(targets == options["ignore_index"], 0, weight[np.minimum(targets, x.shape[1] - 1)])
    divisor = {"none": weights, "sum": weights.sum(), "mean": 1.0}[options["reduction"]]
    options["class_weight"] = np.append(weight, 1.0)

    found = softclass.cross_entropy(filled, targets, **options)

    assert_same(case.outputs[0], (found - c * divisor).astype(np.float32))
