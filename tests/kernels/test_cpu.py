"""The compiled module: its stub, what its signatures refuse, that it stays inside its buffers."""

from __future__ import annotations

import ast
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asserts import assert_bit_equal, assert_ulp
from softclass.kernels import _cpu, cpu

ROWS = np.zeros((2, 3))
VALUES = np.zeros(2)
STUB = Path(cpu.__file__).with_name("_cpu.pyi")


def test_the_stub_names_what_the_module_holds() -> None:
    named = {node.name for node in ast.parse(STUB.read_text()).body if isinstance(node, ast.FunctionDef)}

    assert named == {name for name in dir(_cpu) if not name.startswith("__")}


@pytest.mark.parametrize("node", [n for n in ast.parse(STUB.read_text()).body if isinstance(n, ast.FunctionDef)])
def test_the_stub_names_the_arguments(node: ast.FunctionDef) -> None:
    signature = str(getattr(_cpu, node.name).__nb_signature__[0][0])

    assert [argument.arg for argument in node.args.args] == re.findall(r"(\w+): ", signature)


REFUSED: dict[str, tuple[Any, ...]] = {
    "integers": (ROWS.astype(int), ROWS.copy(), 1, 1.0),
    "other byte order": (ROWS.astype(">f8"), ROWS.copy(), 1, 1.0),
    "long double": (ROWS.astype(np.longdouble), ROWS.copy(), 1, 1.0),
    "a result of integers": (ROWS, ROWS.astype(int), 1, 1.0),
    "a list": ([[0.0]], ROWS.copy(), 1, 1.0),
    "nothing": (None, ROWS.copy(), 1, 1.0),
    "where of numbers": (ROWS, ROWS.copy(), 1, 1.0, ROWS),
    "an axis that is no number": (ROWS, ROWS.copy(), None, 1.0),
}


@pytest.mark.parametrize("name", REFUSED)
def test_types_that_do_not_fit_are_refused(name: str) -> None:
    with pytest.raises(TypeError):
        _cpu.softmax(*REFUSED[name])


def test_a_result_that_may_not_be_written_is_refused() -> None:
    frozen = ROWS.copy()
    frozen.flags.writeable = False

    with pytest.raises((BufferError, ValueError)):
        _cpu.softmax(ROWS, frozen, 1, 1.0)


WRONG_SIZES: dict[str, tuple[str, tuple[Any, ...], str]] = {
    "softmax": ("softmax", (ROWS, np.zeros((3, 3)), 1, 1.0), "out must have the shape of logits"),
    "log_softmax": ("log_softmax", (ROWS, np.zeros(6), 1, 1.0), "out must have the shape of logits"),
    "logsumexp": ("logsumexp", (ROWS, np.zeros(3), 1), "out must have the shape of logits without axes"),
    "axis": ("softmax", (ROWS, ROWS.copy(), 2, 1.0), "axes must be different axes of logits"),
    "axis twice": ("softmax", (ROWS, ROWS.copy(), (1, 1), 1.0), "axes must be different axes of logits"),
    "where": ("softmax", (ROWS, ROWS.copy(), 1, 1.0, np.ones(3, bool)), "where must have the shape of logits"),
    "cotangent": ("softmax_vjp", (ROWS, VALUES, ROWS.copy(), 1, 1.0), "all arrays must have the same shape"),
}


@pytest.mark.parametrize("case", WRONG_SIZES)
def test_sizes_that_do_not_fit_are_refused(case: str) -> None:
    name, arguments, message = WRONG_SIZES[case]

    with pytest.raises(ValueError, match=f"^{message}$"):
        getattr(_cpu, name)(*arguments)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("n_classes", [1, 2, 7, 8, 9, 63, 64, 65, 129])
@pytest.mark.parametrize("function", ["softmax", "log_softmax"])
def test_nothing_outside_the_result_is_touched(function: str, n_classes: int, dtype: str) -> None:
    guarded = np.full(n_classes * 3 + 64, 123.0, dtype=dtype)
    inside = guarded[32 : 32 + n_classes * 3].reshape(3, n_classes)
    logits = np.random.default_rng(0).normal(size=(3, n_classes)).astype(dtype)

    getattr(_cpu, function)(logits, inside, 1, 1.0)

    assert (np.delete(guarded, range(32, 32 + n_classes * 3)) == 123).all()


def test_callers_in_several_threads_do_not_disturb_each_other() -> None:
    blocks = [np.random.default_rng(seed).normal(size=(2000, 30)) for seed in range(8)]

    def softmax(block: np.ndarray) -> np.ndarray:
        out = np.empty_like(block)
        cpu.softmax(block, out, 1, 1.0)
        return out

    expected = [softmax(block) for block in blocks]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(softmax, blocks))

    assert_bit_equal(np.stack(expected), np.stack(found))


def test_the_doors_are_the_functions_of_the_module() -> None:
    doors = {name: found for name, found in vars(cpu).items() if name in dir(_cpu) and not name.startswith("__")}

    assert doors == {name: getattr(_cpu, name) for name in doors}
    assert {"softmax", "cross_entropy", "linear_cross_entropy"} <= set(doors)


def test_the_exponential_is_right_to_one_unit() -> None:
    # The second logit lies so far below that the probability is its exponential.
    depths = np.linspace(38, 708, 100_001)
    rows = np.stack([np.zeros_like(depths), -depths], axis=1)
    expected = np.exp(-depths.astype(np.longdouble))

    cpu.softmax(rows, rows, 1, 1.0)

    assert_ulp(expected, rows[:, 1], ulps=1)
