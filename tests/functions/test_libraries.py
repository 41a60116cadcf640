"""Whose array it is, which twin answers, and what one call may not mix."""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from softclass._arrays import dtype_name, library_of, own_dtype
from softclass.errors import DTypeError
from softclass.functions.cross_entropy import cross_entropy
from softclass.functions.libraries import TWINS, twin_of
from softclass.functions.linear_cross_entropy import linear_cross_entropy
from softclass.functions.softmax import softmax

jax = pytest.importorskip("jax")
torch = pytest.importorskip("torch")
strict = pytest.importorskip("array_api_strict")

VALUES: dict[str, tuple[Any, str]] = {
    "array": (np.ones(2), "numpy"),
    "number of NumPy": (np.float32(1), "numpy"),
    "list": ([1.0], "numpy"),
    "number": (1.0, "numpy"),
    "tensor": (torch.ones(2), "torch"),
    "parameter": (torch.nn.Parameter(torch.ones(2)), "torch"),
    "JAX array": (jax.numpy.ones(2), "jax"),
    "strict array": (strict.ones(2), "other"),
}


@pytest.mark.parametrize("name", VALUES)
def test_library_of(name: str) -> None:
    value, expected = VALUES[name]

    assert library_of(value) == expected
    assert twin_of(value).__name__ == f"softclass.functions.{TWINS[expected]}"


def test_a_tracer_of_jax_is_of_jax() -> None:
    seen = []
    jax.jit(lambda x: seen.append(library_of(x)) or x)(jax.numpy.ones(2))

    assert seen == ["jax"]


@pytest.mark.parametrize("library", ["numpy", "torch", "jax", "other"])
@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32", "float64"])
def test_dtypes_have_one_name_in_every_library(library: str, name: str) -> None:
    array = {"numpy": np.ones(1), "torch": torch.ones(1), "jax": jax.numpy.ones(1), "other": strict.ones(1)}[library]
    own = own_dtype(array, name)
    is_there = not (library == "other" and name.endswith("16"))  # the standard has no half precision

    assert (own is not None) == is_there
    assert dtype_name(own) == name if is_there else own is None


def functions_of(module: Any) -> dict[str, list[str]]:
    """Names of the functions that a twin defines, and of their parameters."""
    return {
        name: list(inspect.signature(found).parameters)
        for name, found in vars(module).items()
        if inspect.isfunction(found) and found.__module__ == module.__name__ and not name.startswith("_")
    }


@pytest.mark.parametrize("name", ["_numpy", "_torch", "_jax"])
def test_the_twins_have_the_functions_and_parameters_of_the_reference(name: str) -> None:
    reference, twin = (importlib.import_module(f"softclass.functions.{one}") for one in ("reference", name))

    assert functions_of(twin) == functions_of(reference)


def test_numpy_arrays_load_no_other_library() -> None:
    calls = "softclass.softmax(numpy.ones(3)); softclass.cross_entropy([[1.0, 2.0]], [0])"
    loaded = "[name for name in ('torch', 'jax', 'ml_dtypes', 'scipy', 'pyarrow') if name in sys.modules]"
    code = f"import sys, numpy, softclass; {calls}; print({loaded})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


ONE_LIBRARY = "Pass every array of a call in one library, the one of"
MIXED: dict[str, tuple[Any, str]] = {
    "indices of NumPy": (
        lambda: cross_entropy(torch.ones(1, 2), np.array([0])),
        "cross_entropy: `targets` must be an array of the library of `logits`, PyTorch; got NumPy. "
        f"{ONE_LIBRARY} `logits`",
    ),
    "indices of PyTorch": (
        lambda: cross_entropy(np.ones((1, 2)), torch.tensor([0])),
        "cross_entropy: `targets` must be an array of the library of `logits`, NumPy; got PyTorch. "
        f"{ONE_LIBRARY} `logits`",
    ),
    "a list": (
        lambda: cross_entropy(torch.ones(1, 2), [0]),
        "cross_entropy: `targets` must be an array of the library of `logits`, PyTorch; got a value of type list. "
        f"{ONE_LIBRARY} `logits`",
    ),
    "weights of JAX": (
        lambda: cross_entropy(np.ones((1, 2)), [0], class_weight=jax.numpy.ones(2)),
        "cross_entropy: `class_weight` must be an array of the library of `logits`, NumPy; got JAX. "
        f"{ONE_LIBRARY} `logits`",
    ),
    "where of NumPy": (
        lambda: softmax(jax.numpy.ones(2), where=np.array([True, False])),
        f"softmax: `where` must be an array of the library of `logits`, JAX; got NumPy. {ONE_LIBRARY} `logits`",
    ),
    "out of PyTorch": (
        lambda: softmax(np.ones(2), out=torch.ones(2)),
        f"softmax: `out` must be an array of the library of `logits`, NumPy; got PyTorch. {ONE_LIBRARY} `logits`",
    ),
    "weight of NumPy": (
        lambda: linear_cross_entropy(strict.ones((1, 2)), np.ones((3, 2)), strict.asarray([0])),
        "linear_cross_entropy: `weight` must be an array of the library of `features`, another array library; "
        f"got NumPy. {ONE_LIBRARY} `features`",
    ),
    "another device": (
        lambda: cross_entropy(torch.ones(1, 2), torch.zeros(1, dtype=torch.int64, device="meta")),
        "cross_entropy: `targets` must be on the device of `logits`, cpu; got one on meta",
    ),
}


@pytest.mark.parametrize("case", MIXED)
def test_libraries_and_devices_are_not_mixed(case: str) -> None:
    call, message = MIXED[case]

    with pytest.raises(DTypeError, match=f"^{re.escape('[SC112] ' + message)}$"):
        call()
