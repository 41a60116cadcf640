"""The array-API names of a library, for the formulas of `reference`: looks at what is loaded, imports nothing.

NumPy, JAX and every library of the array-API standard bring a namespace of their own; PyTorch has the functions under
other names. Beside the standard the formulas need one thing: `constant`, a value that no derivative sees.
"""

from __future__ import annotations

import sys
from typing import Any


def namespace_of(array: Any) -> Any:
    """Return the array-API namespace of an array."""
    find = getattr(array, "__array_namespace__", None)
    return TORCH if find is None else find()


def constant(xp: Any, array: Any) -> Any:
    """Return the array as a constant: automatic differentiation does not look behind it."""
    if xp is TORCH:
        return array.detach()
    if xp.__name__ == "jax.numpy":
        return sys.modules["jax"].lax.stop_gradient(array)
    return array


def default_float(xp: Any) -> Any:
    """Return the type that integers are computed in."""
    if xp is TORCH:
        return xp.get_default_dtype()
    return xp.__array_namespace_info__().default_dtypes()["real floating"]


def index_type(xp: Any) -> Any:
    """Return the type of class indices."""
    return xp.int64 if xp is TORCH else xp.__array_namespace_info__().default_dtypes()["indexing"]


def wide_float(xp: Any, array: Any) -> Any:
    """Return float64 where the library and the device have it, else float32: for sums and numbers of a row."""
    if xp is TORCH:
        return xp.float32 if array.device.type == "mps" else xp.float64
    return xp.float64 if "float64" in xp.__array_namespace_info__().dtypes(kind="real floating") else xp.float32


def holds_integers(xp: Any, array: Any) -> bool:
    """Tell whether the array holds integers."""
    if xp is TORCH:
        return not (array.dtype.is_floating_point or array.dtype.is_complex)
    kind = getattr(array.dtype, "kind", None)  # NumPy's isdtype does not take bfloat16, a type from elsewhere
    return kind in ("i", "u") if kind is not None else bool(xp.isdtype(array.dtype, "integral"))


def arange(xp: Any, stop: int, like: Any) -> Any:
    """Return 0 ... stop-1 on the device of an array."""
    if xp is not TORCH and xp.__name__ == "jax.numpy":
        return xp.arange(stop)  # goes where it is used; a tracer has no device
    return xp.arange(stop, device=like.device)


class _Torch:
    """PyTorch under the names of the array API; what it calls alike is passed on."""

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.modules["torch"], name)

    def astype(self, array: Any, dtype: Any) -> Any:
        return array.to(dtype)

    def max(self, array: Any, *, axis: int, keepdims: bool) -> Any:
        return array.amax(axis, keepdims)

    def argmax(self, array: Any, *, axis: int, keepdims: bool) -> Any:
        return array.argmax(axis, keepdims)

    def take_along_axis(self, array: Any, indices: Any, *, axis: int) -> Any:
        return array.gather(axis, indices)

    def take(self, array: Any, indices: Any, *, axis: int) -> Any:
        return array.index_select(axis, indices)

    def permute_dims(self, array: Any, axes: tuple[int, ...]) -> Any:
        return array.permute(axes)

    def expand_dims(self, array: Any, *, axis: int) -> Any:
        return array.unsqueeze(axis)

    def squeeze(self, array: Any, *, axis: int) -> Any:
        return array.squeeze(axis)

    def matrix_transpose(self, array: Any) -> Any:
        return array.mT


TORCH = _Torch()
