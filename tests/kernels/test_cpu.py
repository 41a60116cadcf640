"""The compiled module: its stub, what its signatures refuse, that it stays inside its buffers."""

from __future__ import annotations

import ast
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asserts import assert_bit_equal, assert_close, assert_ulp
from softclass.kernels import _cpu, cpu

ROWS = np.zeros((2, 3))
VALUES = np.zeros(2)
INDICES = np.zeros(2, dtype=np.int64)
STUB = Path(cpu.__file__).with_name("_cpu.pyi")


def test_the_stub_names_what_the_module_holds() -> None:
    named = {node.name for node in ast.parse(STUB.read_text()).body if isinstance(node, ast.FunctionDef)}

    assert named == {name for name in dir(_cpu) if not name.startswith("__")}


@pytest.mark.parametrize("node", [n for n in ast.parse(STUB.read_text()).body if isinstance(n, ast.FunctionDef)])
def test_the_stub_names_the_arguments(node: ast.FunctionDef) -> None:
    signature = str(getattr(_cpu, node.name).__nb_signature__[0][0])

    assert [argument.arg for argument in node.args.args] == re.findall(r"(\w+): ", signature)


REFUSED: dict[str, tuple[Any, ...]] = {
    "half precision": (ROWS.astype("f2"), 1.0, ROWS.astype("f2")),
    "integers": (ROWS.astype(int), 1.0, ROWS),
    "other byte order": (ROWS.astype(">f8"), 1.0, ROWS.copy()),
    "one axis": (np.zeros(3), 1.0, np.zeros(3)),
    "three axes": (ROWS[None], 1.0, ROWS[None]),
    "Fortran order": (np.asfortranarray(ROWS), 1.0, ROWS.copy()),
    "every second column": (np.zeros((2, 6))[:, ::2], 1.0, ROWS.copy()),
    "result of another type": (ROWS, 1.0, ROWS.astype("f4")),
    "a list": ([[0.0]], 1.0, ROWS),
    "nothing": (None, 1.0, ROWS),
}


@pytest.mark.parametrize("name", REFUSED)
def test_the_signature_refuses(name: str) -> None:
    with pytest.raises(TypeError, match="incompatible function arguments"):
        _cpu.softmax(*REFUSED[name])


def test_the_signature_refuses_a_result_that_may_not_be_written() -> None:
    frozen = ROWS.copy()
    frozen.flags.writeable = False

    with pytest.raises(TypeError, match="incompatible function arguments"):
        _cpu.softmax(ROWS, 1.0, frozen)


WRONG_SIZES: dict[str, tuple[str, tuple[Any, ...], str]] = {
    "softmax": ("softmax", (ROWS, 1.0, np.zeros((3, 3))), "out must have the shape of logits"),
    "log_softmax": ("log_softmax", (ROWS, 1.0, np.zeros((2, 2))), "out must have the shape of logits"),
    "logsumexp": ("logsumexp", (ROWS, np.zeros(3)), "out must have one value a row"),
    "index weights, out": ("index_row_weights", (INDICES, 3, None, None, np.zeros(1)), "out must have one value a row"),
    "index weights, sample": (
        "index_row_weights",
        (INDICES, 3, np.ones(3), None, VALUES),
        "sample_weight must have one value a row",
    ),
    "index weights, class": (
        "index_row_weights",
        (INDICES, 3, None, np.ones(2), VALUES),
        "class_weight must have one value a class",
    ),
    "soft weights, class": (
        "soft_row_weights",
        (ROWS, 1e-3, None, np.ones(2), VALUES),
        "class_weight must have one value a class",
    ),
    "targets": (
        "index_cross_entropy",
        (ROWS, INDICES[:1], VALUES, 0.0, 1.0, VALUES, None),
        "targets must have one entry a row",
    ),
    "soft targets": (
        "soft_cross_entropy",
        (ROWS, np.zeros((2, 2)), VALUES, 0.0, 1.0, VALUES, None),
        "targets must have the shape of logits",
    ),
    "row weights": (
        "index_cross_entropy",
        (ROWS, INDICES, VALUES[:1], 0.0, 1.0, VALUES, None),
        "row_weights must have one value a row",
    ),
    "losses": (
        "index_cross_entropy",
        (ROWS, INDICES, VALUES, 0.0, 1.0, np.zeros(3), None),
        "losses must have one value a row",
    ),
    "gradient": (
        "index_cross_entropy",
        (ROWS, INDICES, VALUES, 0.0, 1.0, np.zeros(2), np.zeros((2, 2))),
        "gradient must have the shape of logits",
    ),
}


@pytest.mark.parametrize("case", WRONG_SIZES)
def test_sizes_that_do_not_fit_are_refused(case: str) -> None:
    name, arguments, message = WRONG_SIZES[case]

    with pytest.raises(ValueError, match=f"^{message}$"):
        getattr(_cpu, name)(*arguments)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("n_classes", [1, 2, 7, 8, 9, 63, 64, 65, 129])
@pytest.mark.parametrize("function", ["softmax", "log_softmax"])
def test_nothing_outside_the_result_is_touched(function: str, n_classes: int, dtype: str) -> None:
    guarded = np.full(n_classes * 3 + 64, 123.0, dtype=dtype)
    inside = guarded[32 : 32 + n_classes * 3].reshape(3, n_classes)
    logits = np.random.default_rng(0).normal(size=(3, n_classes)).astype(dtype)

    getattr(_cpu, function)(logits, 1.0, inside)

    assert (np.delete(guarded, range(32, 32 + n_classes * 3)) == 123).all()


def test_the_result_may_be_the_logits() -> None:
    logits = np.random.default_rng(0).normal(size=(5, 70))
    expected = cpu.softmax(logits, 1.0)

    _cpu.softmax(logits, 1.0, logits)

    assert_bit_equal(expected, logits)


def test_callers_in_several_threads_do_not_disturb_each_other() -> None:
    blocks = [np.random.default_rng(seed).normal(size=(2000, 30)) for seed in range(8)]
    expected = [cpu.softmax(block, 1.0) for block in blocks]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda block: cpu.softmax(block, 1.0), blocks))

    assert_bit_equal(np.stack(expected), np.stack(found))


def test_the_exponential_is_right_to_one_unit() -> None:
    # The second logit lies so far below that the probability is its exponential.
    depths = np.linspace(38, 708, 100_001)
    expected = np.exp(-depths.astype(np.longdouble))

    assert_ulp(expected, cpu.softmax(np.stack([np.zeros_like(depths), -depths], axis=1), 1.0)[:, 1], ulps=1)


def test_the_sum_is_compensated() -> None:
    values = np.concatenate([[1e16], np.ones(10_000)])

    # One after the other, every 1 would be lost; here only the 7 that share a lane of a block with the large number.
    assert_close(1e16 + 10_000, cpu.compensated_sum(values), rtol=0, atol=8)


def test_the_sum_of_infinite_values_is_infinite() -> None:
    assert cpu.compensated_sum(np.array([1.0, np.inf, 2.0])) == np.inf


def test_bad_rows_are_counted_and_weigh_nothing() -> None:
    weights = cpu.index_row_weights(np.array([0, 5, 1, -1]), 3, None, np.array([1.0, 2.0, 4.0]))

    assert_bit_equal(np.array([1.0, 0.0, 2.0, 0.0]), weights.values)
    assert (weights.total, weights.first_bad, weights.n_bad) == (3.0, 1, 2)
