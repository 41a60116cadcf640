"""One matrix: function x library x dtype x axis x layout; and twins that have equal names and parameters."""

from __future__ import annotations

import ast
import inspect
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asserts import assert_bit_equal, assert_close
from softclass.functions import _numpy, reference
from softclass.functions.cross_entropy import cross_entropy
from softclass.functions.derivatives import (
    cross_entropy_hvp,
    cross_entropy_value_and_gradient,
    linear_cross_entropy_hvp,
    linear_cross_entropy_value_and_gradient,
    softmax_jacobian,
    softmax_jvp,
    softmax_vjp,
)
from softclass.functions.linear_cross_entropy import linear_cross_entropy
from softclass.functions.softmax import log_softmax, logsumexp, softmax

torch = pytest.importorskip("torch", reason="one of the libraries that must agree")
jnp = pytest.importorskip("jax.numpy", reason="one of the libraries that must agree")
strict = pytest.importorskip("array_api_strict", reason="the strictest library of the array API is not installed")


def read_only(array: np.ndarray) -> np.ndarray:
    """Return an array whose memory nobody may write: catches what is written in place."""
    array = array[...]
    array.flags.writeable = False
    return array


def as_tensor(array: np.ndarray) -> Any:
    """Return a tensor of the same layout, where PyTorch has it: no negative strides, no read-only memory."""
    is_taken = array.flags.writeable and all(stride >= 0 for stride in array.strides)
    return torch.from_numpy(array if is_taken else array.copy())


MAKERS: dict[str, Callable[[np.ndarray], Any]] = {
    "numpy": lambda array: array,
    "read-only": read_only,
    "torch": as_tensor,
    "jax": jnp.asarray,
    "strict": strict.asarray,
}
LIBRARIES = [
    # JAX compiles every operation of every shape and type: half of that is enough for every run.
    pytest.param(library, dtype, marks=[pytest.mark.slow] * ((library, dtype) == ("jax", "float16")))
    for library in MAKERS
    for dtype in ("float16", "float32", "float64")
    # The standard has no half precision; JAX has float64 in a process of its own.
    if (library, dtype) not in {("strict", "float16"), ("jax", "float64")}
]
libraries = pytest.mark.parametrize(("library", "dtype"), LIBRARIES)

LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "every second": lambda array: np.repeat(array, 2, axis=-1)[..., ::2],
    "negative": lambda array: np.ascontiguousarray(array[::-1])[::-1],
    "broadcast": lambda array: np.broadcast_to(array[:1], array.shape),
}
draw = np.random.default_rng(3)
LOGITS = draw.normal(size=(3, 4, 5)) * 3
TARGETS = draw.integers(0, 3, size=(3, 4, 5))
FEATURES, WEIGHT, BIAS = draw.normal(size=(6, 3)), draw.normal(size=(4, 3)), draw.normal(size=4)
LABELS = np.array([0, 3, 1, 2, -100, 1])

Make = Callable[[np.ndarray], Any]


def index_of(axis: int) -> np.ndarray:
    return np.ascontiguousarray(np.take(TARGETS, 0, axis=axis))


def shares_of(axis: int, dtype: Any) -> np.ndarray:
    shares = np.exp(LOGITS[::-1]).astype(dtype)
    return shares / shares.sum(axis=axis, keepdims=True, dtype=dtype)


# Every function of logits: (make, logits, axis) -> results.
FUNCTIONS: dict[str, Callable[[Make, Any, int], Any]] = {
    "softmax": lambda make, z, axis: softmax(z, axis=axis, temperature=1.5),
    "softmax of some": lambda make, z, axis: softmax(z, axis=axis, where=make(LOGITS > -2)),
    "log_softmax": lambda make, z, axis: log_softmax(z, axis=axis),
    "logsumexp": lambda make, z, axis: logsumexp(z, axis=axis),
    "logsumexp over all": lambda make, z, axis: logsumexp(z, axis=None, keepdims=True),
    "loss": lambda make, z, axis: cross_entropy(z, make(index_of(axis)), axis=axis, ignore_index=1),
    "smoothed losses": lambda make, z, axis: cross_entropy(
        z, make(index_of(axis)), axis=axis, label_smoothing=0.2, reduction="none"
    ),
    "soft loss": lambda make, z, axis: cross_entropy(
        z, make(shares_of(axis, np.float32)), axis=axis, class_weight=make(np.arange(1.0, z.shape[axis] + 1, dtype="f"))
    ),
    "value and gradient": lambda make, z, axis: cross_entropy_value_and_gradient(
        z, make(index_of(axis)), axis=axis, label_smoothing=0.1
    ),
    "hvp": lambda make, z, axis: cross_entropy_hvp(z, make(index_of(axis)), z * z, axis=axis),
    "jvp": lambda make, z, axis: softmax_jvp(softmax(z, axis=axis), z, axis=axis),
    "vjp": lambda make, z, axis: softmax_vjp(softmax(z, axis=axis), z, axis=axis),
    "jacobian": lambda make, z, axis: softmax_jacobian(softmax(z, axis=axis), axis=axis),
}
functions = pytest.mark.parametrize("name", FUNCTIONS)
# What results in a type may differ by: (relative to the largest entry)
TOLERANCE = {"float16": 4e-3, "float32": 2e-6, "float64": 4e-15}


def leaves(found: Any) -> list[np.ndarray]:
    parts = found if isinstance(found, tuple) else (found,)
    return [np.asarray(part) for part in parts]


def exact(name: str, logits: np.ndarray, axis: int) -> list[np.ndarray]:
    """Return the results in float64, of the very numbers that the narrower type holds."""
    return leaves(FUNCTIONS[name](np.asarray, np.ascontiguousarray(logits, dtype=np.float64), axis))


# What JAX compiles for one axis is enough for every run.
AXES = [
    pytest.param(*each.values, axis, marks=[*each.marks, *[pytest.mark.slow] * (each.values[0] == "jax" and axis != 1)])
    for each in LIBRARIES
    for axis in (0, 1, -1)
]


@pytest.mark.parametrize(("library", "dtype", "axis"), AXES)
@functions
def test_every_library_gives_the_numbers_of_float64(name: str, axis: int, library: str, dtype: str) -> None:
    logits = LOGITS.astype(dtype)
    expected = exact(name, logits, axis)
    make = MAKERS[library]

    found = leaves(FUNCTIONS[name](make, make(logits), axis))

    for left, right in zip(expected, found, strict=True):
        assert_close(left, right.astype(np.float64), rtol=0, atol=TOLERANCE[dtype] * np.abs(left).max())


def assert_close_to_a_rounding(expected: Any, actual: Any) -> None:
    assert_close(expected, actual, rtol=3e-7, atol=0)


@pytest.mark.parametrize("layout", LAYOUTS)
@functions
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_layouts_give_the_numbers_of_the_contiguous_array(library: str, name: str, layout: str) -> None:
    array = LAYOUTS[layout](LOGITS.astype(np.float32))
    contiguous = np.ascontiguousarray(array)
    before = array.copy()
    make = MAKERS[library]
    # The Jacobian is a formula of tensor operations, which may add in another order in another layout.
    compare = assert_close_to_a_rounding if name == "jacobian" else assert_bit_equal

    expected = leaves(FUNCTIONS[name](make, make(contiguous), -1))
    found = leaves(FUNCTIONS[name](make, make(array), -1))

    for left, right in zip(expected, found, strict=True):
        compare(left, np.array(right, order="C"))
    assert_bit_equal(before, array)


def linear_results(make: Make, dtype: str) -> list[np.ndarray]:
    x, w, b, t = (make(array.astype(dtype)) for array in (FEATURES, WEIGHT, BIAS, BIAS[:, None] * WEIGHT))
    options = {"ignore_index": -100, "class_weight": make(np.array([1.0, 2.0, 0.5, 1.0], dtype=np.float32))}
    labels = make(LABELS)
    loss, gradients = linear_cross_entropy_value_and_gradient(
        x, w, labels, bias=b, wrt=("weight", "bias", "features"), **options
    )
    products = linear_cross_entropy_hvp(x, w, labels, t, bias=b, bias_tangent=b, **options)
    losses = linear_cross_entropy(x, w, labels, bias=b, label_smoothing=0.1, reduction="none", **options)
    parts = (loss, gradients.weight, gradients.bias, gradients.features, products.weight, products.bias, losses)
    return leaves(parts)


@libraries
def test_linear_losses_of_every_library(library: str, dtype: str) -> None:
    rounded = {name: array.astype(dtype).astype(np.float64) for name, array in globals_of_linear().items()}
    expected = with_linear(rounded, lambda: linear_results(np.asarray, "float64"))

    found = linear_results(MAKERS[library], dtype)

    for left, right in zip(expected, found, strict=True):
        assert_close(left, right.astype(np.float64), rtol=0, atol=8 * TOLERANCE[dtype] * np.abs(left).max())


def globals_of_linear() -> dict[str, np.ndarray]:
    return {"FEATURES": FEATURES, "WEIGHT": WEIGHT, "BIAS": BIAS}


def with_linear(arrays: dict[str, np.ndarray], call: Callable[[], Any]) -> Any:
    """Call with other features, weight and bias in this module."""
    kept = globals_of_linear()
    globals().update(arrays)
    try:
        return call()
    finally:
        globals().update(kept)


@libraries
def test_results_are_arrays_of_the_library(library: str, dtype: str) -> None:
    logits = MAKERS[library](LOGITS.astype(dtype))

    p, loss = softmax(logits), cross_entropy(logits, MAKERS[library](index_of(-1)), reduction="none")

    assert isinstance(p, type(logits))
    assert p.dtype == logits.dtype
    assert str(loss.dtype).rpartition(".")[2] == ("float64" if dtype == "float64" else "float32")


# ---- parity of the twins


def public_functions(module: types.ModuleType) -> dict[str, list[str]]:
    found = inspect.getmembers(module, inspect.isfunction)
    return {
        name: list(inspect.signature(function).parameters)
        for name, function in found
        if not name.startswith("_") and function.__module__ == module.__name__
    }


@pytest.mark.parametrize("twin", ["_numpy", "_torch", "_jax"])
def test_twins_have_the_functions_and_parameters_of_the_reference(twin: str) -> None:
    from softclass.functions import _jax, _torch

    module = {"_numpy": _numpy, "_torch": _torch, "_jax": _jax}[twin]

    assert public_functions(reference) == public_functions(module)


@pytest.mark.parametrize("library", ["torch", "jax"])
def test_a_library_is_imported_by_its_own_files_alone(library: str) -> None:
    rooms = Path(reference.__file__).parent.parent
    importers = {
        path.relative_to(rooms).as_posix()
        for path in rooms.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.Import) and any(n.name.split(".")[0] == library for n in node.names))
        or (isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").split(".")[0] == library)
    }

    own = {"torch": ("functions/_torch", "functions/last_layer.py", "networks/torch"), "jax": ("functions/_jax",)}
    assert importers
    assert [name for name in importers if not name.startswith(own[library])] == []
