"""Whose array is it? Looks at libraries that are loaded, never imports one."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np

FLOATS = ("float16", "bfloat16", "float32", "float64")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
# What people call them.
TITLES = {"numpy": "NumPy", "torch": "PyTorch", "jax": "JAX", "other": "another array library"}


def library_of(value: object) -> str:
    """Return "numpy" (also for lists and numbers), "torch", "jax", or "other" for the rest of the array API."""
    if isinstance(value, (np.ndarray, np.generic)):
        return "numpy"
    if is_torch(value):
        return "torch"
    jax = sys.modules.get("jax")
    if jax is not None and isinstance(value, getattr(jax, "Array", ())):  # tracers as well
        return "jax"
    return "other" if hasattr(value, "__array_namespace__") else "numpy"


def is_torch(value: object) -> bool:
    """Whether the value is a tensor of PyTorch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, getattr(torch, "Tensor", ()))


def is_traced(value: object) -> bool:
    """Whether the value is a stand-in of JAX, which has a shape but no numbers."""
    jax = sys.modules.get("jax")
    return jax is not None and isinstance(value, jax.core.Tracer)


def _module_of(array: Any) -> Any:
    """Return the module of functions for an array: numpy, torch, jax.numpy, or what the array names."""
    library = library_of(array)
    if library == "numpy":
        return np
    if library == "torch":
        return sys.modules["torch"]
    return array.__array_namespace__()


def dtype_name(dtype: object) -> str:
    """Return "float32" for the float32 of any library.

    Examples
    --------
    >>> dtype_name(np.dtype(">f4")), dtype_name(np.float16), dtype_name(float), dtype_name("f8")
    ('float32', 'float16', 'float64', 'float64')
    """
    if isinstance(dtype, np.dtype):
        return dtype.name
    if isinstance(dtype, type) and issubclass(dtype, (np.generic, int, float, complex)):
        return np.dtype(dtype).name
    name = dtype if isinstance(dtype, str) else getattr(dtype, "__name__", None) or str(dtype)
    name = name.rpartition(".")[2]  # torch.float32, array_api_strict.float32
    if isinstance(dtype, str) and name not in FLOATS:
        try:
            return np.dtype(name).name
        except TypeError:
            return name
    return name


def own_dtype(array: Any, name: str) -> Any:
    """Return the dtype of this name as the library of the array has it; None if it has none."""
    library = library_of(array)
    if library == "numpy" and name == "bfloat16":
        loaded: ModuleType | None = sys.modules.get("ml_dtypes")
        return None if loaded is None else np.dtype(loaded.bfloat16)
    if library in ("numpy", "jax"):
        return own_dtype(np.empty(0), name) if name == "bfloat16" else np.dtype(name)
    return getattr(_module_of(array), name, None)


def device_of(array: Any) -> Any:
    """Return where the numbers lie; None where the library does not say, or lets them move."""
    library = library_of(array)
    if library == "numpy" or is_traced(array):
        return None
    if library == "jax":
        return array.device if array.committed else None
    return getattr(array, "device", None)
