"""What the functions demand of their arguments; the only file of this room that raises.

The checks of libraries, shapes, data types and options hold for every array library and look at no number of an array.
The `raise_` functions are for the twins, which find bad numbers while they compute, where numbers are at hand.
"""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Iterable
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from softclass._arrays import (
    FLOATS,
    INTEGERS,
    TITLES,
    device_of,
    dtype_name,
    library_of,
    own_dtype,
)
from softclass.errors import DTypeError, InputError, OptionError, ShapeError, TargetError, UsageError, shown

Array = npt.NDArray[Any]
Axes = int | tuple[int, ...]

NUMBERS = "float16, bfloat16, float32, float64 or integers"
REDUCTIONS = ("mean", "sum", "none")
PARTS = ("weight", "bias", "features")
# What people call the types of arrays that hold no numbers.
KINDS = {"O": "objects", "U": "text", "S": "text", "b": "bool"}
# The types that NumPy computes with as they are: looked up once a call, so kept as objects.
PLAIN = frozenset(np.dtype(name) for name in ("float16", "float32", "float64"))
INDEX = np.dtype(np.int64)
LABELS = "If these are labels, fit SoftmaxRegression, which encodes them"


# ---- arrays
def as_array(where: str, name: str, value: object) -> Array:
    """Return `value` as a plain NumPy array, or raise SC113."""
    if isinstance(value, np.ma.MaskedArray):
        raise InputError(
            "SC113",
            f"`{name}` must be a plain array; got a masked array, whose mask would be lost",
            where=where,
            hint=f"Pass `{name}.filled(value)`",
        )
    try:
        return np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as reason:
        raise InputError(
            "SC113",
            f"`{name}` must be an array, or nested lists of equal lengths; "
            f"got {shown(type(value).__name__)}, which is neither",
            where=where,
        ) from reason


def as_floats(where: str, name: str, value: Any) -> Any:
    """Return an array of floats or integers, lists as NumPy arrays, or raise SC111 or SC113."""
    if type(value) is np.ndarray and value.dtype in PLAIN:
        return value
    array = as_array(where, name, value) if library_of(value) == "numpy" else value
    check_number_type(where, name, array, NUMBERS)
    return array


def as_logits(where: str, value: Any) -> Any:
    """Return the logits as an array with at least one axis."""
    logits = as_floats(where, "logits", value)
    if logits.ndim == 0:
        raise_no_axis(where, logits)
    return logits


def raise_no_axis(where: str, logits: Any, name: str = "logits") -> NoReturn:
    """Raise SC102 for a single number."""
    came = f"the single number {shown(logits[()])}" if library_of(logits) == "numpy" else "a single number"
    raise ShapeError("SC102", f"`{name}` must have at least one axis, the classes; got {came}", where=where)


def as_companion(where: str, name: str, value: Any, first_name: str, first: Any) -> Any:
    """Return another array of a call, in the library and on the device of the first, or raise SC112."""
    if type(value) is np.ndarray and type(first) is np.ndarray:
        return value
    library, other = library_of(first), library_of(value)
    if library == "numpy" and other == "numpy":
        return as_array(where, name, value)
    if library != other or (library == "other" and type(first) is not type(value)):
        is_array = hasattr(value, "shape") and hasattr(value, "dtype")
        came = TITLES[other] if is_array else f"a value of type {shown(type(value).__name__)}"
        raise DTypeError(
            "SC112",
            f"`{name}` must be an array of the library of `{first_name}`, {TITLES[library]}; got {came}",
            where=where,
            hint=f"Pass every array of a call in one library, the one of `{first_name}`",
        )
    here, there = device_of(first), device_of(value)
    if here is not None and there is not None and here != there:
        raise DTypeError(
            "SC112",
            f"`{name}` must be on the device of `{first_name}`, {shown(here)}; got one on {shown(there)}",
            where=where,
        )
    return value


def is_float(array: Any) -> bool:
    """Whether the array holds float16, bfloat16, float32 or float64."""
    return dtype_name(array.dtype) in FLOATS


def is_integer(array: Any) -> bool:
    """Whether the array holds integers of any width."""
    dtype = array.dtype
    return dtype.kind in "iu" if isinstance(dtype, np.dtype) else dtype_name(dtype) in INTEGERS


def check_number_type(where: str, name: str, array: Any, wanted: str) -> None:
    """Raise SC111 unless the array holds floats or integers."""
    if is_float(array) or is_integer(array):
        return
    raise DTypeError(
        "SC111",
        f"`{name}` must be an array of {wanted}; got {_type_shown(array)}",
        where=where,
        hint=f"If the values are meant as numbers, pass them as such: np.asarray({name}, dtype=float)"
        if library_of(array) == "numpy"
        else "",
    )


def _type_shown(array: Any) -> str:
    dtype = array.dtype
    return KINDS.get(dtype.kind, shown(dtype)) if isinstance(dtype, np.dtype) else shown(dtype_name(dtype))


def as_same_type(where: str, name: str, value: Any, first_name: str, first: Any) -> Any:
    """Return another array of floats in the library and dtype of the first; integers count as the default float."""
    array = as_companion(where, name, value, first_name, first)
    check_number_type(where, name, array, NUMBERS)
    wanted, came = result_type_name(first), result_type_name(array)
    if wanted == came:
        return array
    raise DTypeError(
        "SC111",
        f"`{name}` must have the dtype of `{first_name}`, {wanted}; got {came}",
        where=where,
        hint="Nothing is converted unasked: convert one of them",
    )


def check_shape(where: str, name: str, array: Any, shape: tuple[int, ...], rule: str) -> None:
    """Raise SC101 unless the array has this shape."""
    if tuple(array.shape) != shape:
        raise ShapeError("SC101", f"`{name}` must {rule}, shape {shape}; got shape {tuple(array.shape)}", where=where)


def check_linear_axes(where: str, features: Any, weight: Any) -> None:
    """Raise SC101 or SC102 unless features (N, D) and weight (K, D) fit together."""
    shapes = f"got `features` of shape {tuple(features.shape)} and `weight` of shape {tuple(weight.shape)}"
    if features.ndim != 2 or weight.ndim != 2:
        raise ShapeError(
            "SC102",
            f"`features` must be (n_samples, n_features) and `weight` (n_classes, n_features); {shapes}",
            where=where,
            hint="Pass `features.reshape(-1, features.shape[-1])` if the samples lie along several axes"
            if features.ndim > 2
            else "",
        )
    if features.shape[1] == weight.shape[1]:
        return
    raise ShapeError(
        "SC101",
        f"`features` and `weight` must have the same number of features; {shapes}",
        where=where,
        hint="`weight` is (n_classes, n_features): pass `weight.T` if yours is the other way round"
        if features.shape[1] == weight.shape[0]
        else "",
    )


def result_type_name(logits: Any) -> str:
    """Return the name of the float type of results with one element a logit."""
    if not is_integer(logits):
        return dtype_name(logits.dtype)
    library = library_of(logits)
    if library == "torch":
        return dtype_name(sys.modules["torch"].get_default_dtype())
    if library == "jax":
        return "float64" if sys.modules["jax"].config.jax_enable_x64 else "float32"
    return "float64"


# ---- options
def as_axis(where: str, axis: object, logits: Any, name: str = "logits") -> int:
    """Return the class axis counted from 0, or raise SC141."""
    if type(axis) is int and axis == -1:
        return int(logits.ndim) - 1
    number = _counted(axis, logits.ndim)
    if number is None:
        n = logits.ndim
        raise OptionError(
            "SC141",
            f"`axis` must be an integer in [{-n}, {n}) for `{name}` of shape {tuple(logits.shape)}; "
            f"got {shown(repr(axis))}",
            where=where,
        )
    return number


def as_axes(where: str, axis: object, logits: Any) -> Axes:
    """Return the class axis, or several in ascending order; None is all."""
    n = logits.ndim
    if type(axis) is int and -n <= axis < n:
        return axis if axis >= 0 else axis + n
    if axis is None:
        return 0 if n == 1 else tuple(range(n))
    if n == 0:
        raise_no_axis(where, logits)
    found = [_counted(one, n) for one in (axis if isinstance(axis, tuple) else (axis,))]
    axes = sorted(one for one in found if one is not None)
    if not axes or len(set(axes)) != len(found):
        raise OptionError(
            "SC141",
            f"`axis` must be an integer in [{-n}, {n}), several different ones as a tuple, or None for all, "
            f"for `logits` of shape {tuple(logits.shape)}; got {shown(repr(axis))}",
            where=where,
        )
    return axes[0] if len(axes) == 1 else tuple(axes)


def _counted(axis: object, n_axes: int) -> int | None:
    """Return an axis counted from 0, or None where it is none."""
    number = _as_integer(axis)
    if number is None or not -n_axes <= number < n_axes:
        return None
    return number if number >= 0 else number + n_axes


def _as_integer(value: Any) -> int | None:
    """Return one integer of Python or NumPy, or None where it is none."""
    if type(value) is int:
        return value
    if isinstance(value, (bool, np.bool_)) or library_of(value) != "numpy":
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def as_temperature(where: str, value: object) -> float:
    """Return the temperature, or raise SC141 unless it is finite and above 0."""
    number = _as_number(value)
    if math.isfinite(number) and number > 0:
        return number
    raise OptionError("SC141", f"`temperature` must be a finite number above 0; got {shown(repr(value))}", where=where)


def as_label_smoothing(where: str, value: object) -> float:
    """Return the label smoothing, or raise SC141 unless it lies in [0, 1)."""
    number = _as_number(value)
    if 0 <= number < 1:
        return number
    raise OptionError("SC141", f"`label_smoothing` must be a number in [0, 1); got {shown(repr(value))}", where=where)


def _as_number(value: Any) -> float:
    """Return one real number of Python or NumPy, or NaN where it is none; a tensor would lose its gradient."""
    if type(value) is float:
        return value
    if isinstance(value, (bool, np.bool_, str, bytes)) or library_of(value) != "numpy" or np.ndim(value) != 0:
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def as_flag(where: str, name: str, value: object) -> bool:
    """Return True or False, or raise SC141."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    raise OptionError("SC141", f"`{name}` must be True or False; got {shown(repr(value))}", where=where)


def check_reduction(where: str, value: object) -> None:
    """Raise SC141 unless the reduction is one of three words."""
    if isinstance(value, str) and value in REDUCTIONS:
        return
    raise OptionError("SC141", f'`reduction` must be "mean", "sum" or "none"; got {shown(repr(value))}', where=where)


def as_ignore_index(where: str, value: object, targets: Any) -> int | None:
    """Return the index of rows that are not there; SC141 unless it is an integer, SC202 beside soft targets."""
    if value is None:
        return None
    number = _as_integer(value)
    if number is None or not -(2**63) <= number < 2**63:
        raise OptionError("SC141", f"`ignore_index` must be an integer or None; got {shown(repr(value))}", where=where)
    if is_float(targets):
        raise UsageError(
            "SC202",
            f"`ignore_index` has no effect on floating-point `targets`, which are probabilities; got {number}",
            where=where,
            hint="Give the rows that are not to count the `sample_weight` 0",
        )
    return number


def as_where(where: str, value: Any, logits: Any) -> Any:
    """Return the classes that are there, as bool broadcastable to the logits, or raise SC101, SC111, SC112."""
    present = as_companion(where, "where", value, "logits", logits)
    if dtype_name(present.dtype) != "bool":
        raise DTypeError(
            "SC111",
            f"`where` must hold bool, False for classes that are absent; got {_type_shown(present)}",
            where=where,
        )
    shape, wanted = tuple(present.shape), tuple(logits.shape)
    tail = wanted[len(wanted) - len(shape) :] if len(shape) <= len(wanted) else ()
    if len(tail) == len(shape) and all(one in (1, other) for one, other in zip(shape, tail, strict=True)):
        return present
    raise ShapeError(
        "SC101",
        f"`where` must be broadcastable to the shape of `logits`, {wanted}; got shape {shape}",
        where=where,
    )


def as_result_type(where: str, dtype: object, logits: Any) -> Any:
    """Return the dtype of the result as the library of the logits has it, or raise SC141."""
    name = dtype_name(dtype)
    own = own_dtype(logits, name) if name in FLOATS else None
    if own is None:
        raise OptionError(
            "SC141",
            f"`dtype` must be float16, bfloat16, float32, float64 or None; got {shown(repr(dtype))}",
            where=where,
        )
    return own


def check_out(where: str, out: Any, logits: Any, dtype: Any) -> None:
    """Raise unless the result can be written into `out`: library, shape, dtype; in NumPy also whether it is its own."""
    if (  # a short way for small calls
        dtype is None
        and type(out) is type(logits) is np.ndarray
        and out.dtype is logits.dtype
        and out.dtype in PLAIN
        and out.shape == logits.shape
    ):
        _check_memory(where, out, logits)
        return
    library = library_of(logits)
    if library not in ("numpy", "torch"):
        raise OptionError(
            "SC141", f"`out` must be None for arrays of {TITLES[library]}, which are never written", where=where
        )
    if library == "numpy" and library_of(out) == "numpy" and not isinstance(out, np.ndarray):
        raise OptionError("SC141", f"`out` must be an array; got {shown(type(out).__name__)}", where=where)
    as_companion(where, "out", out, "logits", logits)
    check_shape(where, "out", out, tuple(logits.shape), "have the shape of `logits`")
    wanted, came = result_type_name(logits) if dtype is None else dtype_name(dtype), dtype_name(out.dtype)
    if wanted != came:
        raise DTypeError(
            "SC111",
            f"`out` must have the dtype of the result, {wanted}; got {_type_shown(out)}",
            where=where,
            hint=f'Pass `dtype="{came}"` for results of that type' if came in FLOATS and dtype is None else "",
        )
    if library == "numpy":
        _check_memory(where, out, logits)


def _check_memory(where: str, out: Array, logits: Array) -> None:
    if not out.flags.writeable:
        raise OptionError("SC141", "`out` must be writable; got a read-only array", where=where)
    if out is not logits and isinstance(logits, np.ndarray) and np.may_share_memory(out, logits):
        same_place = out.__array_interface__["data"] == logits.__array_interface__["data"]
        if same_place and out.strides == logits.strides and out.dtype == logits.dtype:
            return
        try:
            overlap = np.shares_memory(out, logits, max_work=10_000)  # type: ignore[arg-type]
        except np.exceptions.TooHardError:
            overlap = True
        if overlap:
            raise_overlap(where)


def as_wrt(where: str, value: object, has_bias: bool) -> tuple[str, ...]:
    """Return what a gradient is wanted for, in the order of the result; SC141, or SC202 for a bias that is absent."""
    wanted = tuple(value) if isinstance(value, Iterable) and not isinstance(value, (str, bytes)) else ()
    if not wanted or any(part not in PARTS for part in wanted) or len(set(wanted)) != len(wanted):
        raise OptionError(
            "SC141",
            '`wrt` must be a tuple of different words out of "weight", "bias" and "features"; '
            f"got {shown(repr(value))}",
            where=where,
        )
    if not has_bias and "bias" in wanted and wanted != ("weight", "bias"):
        raise UsageError("SC202", '"bias" in `wrt` has no effect without a `bias`', where=where)
    return tuple(part for part in PARTS if part in wanted and (has_bias or part != "bias"))


# ---- targets and weights
def as_targets(where: str, value: Any, logits: Any, axis: int) -> Any:
    """Return class indices (the shape of the logits without `axis`) or target probabilities (their whole shape)."""
    return as_targets_of(where, value, logits, tuple(logits.shape), axis)


def as_targets_of(
    where: str, value: Any, first: Any, shape: tuple[int, ...], axis: int, first_name: str = "logits"
) -> Any:
    """Return the targets of logits of this shape, which `first` holds or leads to."""
    without_axis = shape[:axis] + shape[axis + 1 :]
    if type(value) is np.ndarray and type(first) is np.ndarray and value.dtype is INDEX and value.shape == without_axis:
        return value
    targets = as_companion(where, "targets", value, first_name, first)
    if isinstance(value, (list, tuple)) and targets.size == 0 and targets.shape == without_axis:
        return targets.astype(np.int64)  # an empty list has no type of its own: it holds no index
    integer = is_integer(targets)
    if not integer and not is_float(targets):
        _raise_target_type(where, targets)
    if tuple(targets.shape) != (without_axis if integer else shape):
        _raise_target_shape(where, targets, shape, without_axis, first_name)
    return targets


def _raise_target_shape(
    where: str, targets: Any, shape: tuple[int, ...], without_axis: tuple[int, ...], first_name: str
) -> NoReturn:
    came = tuple(targets.shape)
    if first_name == "logits":
        indices, floats, beside = "the shape of `logits` without its class axis", "the shape of `logits`", "`logits`"
    else:
        indices, floats = f"one index a row of `{first_name}`", f"one row a row of `{first_name}`, one number a class"
        beside = "logits"
    rule = (
        f"integer `targets` are class indices and must have {indices}"
        if is_integer(targets)
        else f"floating-point `targets` are probabilities and must have {floats}"
    )
    raise ShapeError(
        "SC101",
        f"{rule}; got `targets` of shape {came} and {beside} of shape {shape}",
        where=where,
        hint=_target_shape_hint(targets, came, shape, without_axis),
    )


def _target_shape_hint(
    targets: Any, came: tuple[int, ...], shape: tuple[int, ...], without_axis: tuple[int, ...]
) -> str:
    if is_float(targets):
        return "If these are class indices, pass `targets.astype(int)`" if came == without_axis else ""
    if came == shape:
        return "If these are probabilities, pass `targets.astype(float)`"
    return "Pass `targets.ravel()`" if len(without_axis) == 1 and math.prod(came) == without_axis[0] else ""


def _raise_target_type(where: str, targets: Any) -> NoReturn:
    raise DTypeError(
        "SC111",
        "`targets` must be integers (class indices) or float16, bfloat16, float32, float64 (probabilities); "
        f"got {_type_shown(targets)}",
        where=where,
        hint=LABELS,
    )


def as_sample_weight(where: str, value: Any, first_name: str, first: Any, shape: tuple[int, ...]) -> Any:
    """Return one weight a row, or raise SC101, SC111, SC112; None stays None."""
    return None if value is None else _as_weight(where, "sample_weight", value, first_name, first, shape, "row")


def as_class_weight(where: str, value: Any, first_name: str, first: Any, n_classes: int) -> Any:
    """Return one weight a class, or raise SC101, SC111, SC112; None stays None."""
    return None if value is None else _as_weight(where, "class_weight", value, first_name, first, (n_classes,), "class")


def _as_weight(
    where: str, name: str, value: Any, first_name: str, first: Any, shape: tuple[int, ...], of_what: str
) -> Any:
    weight = as_companion(where, name, value, first_name, first)
    if dtype_name(weight.dtype) != "bool":
        check_number_type(where, name, weight, "floats, integers or bool")
    check_shape(where, name, weight, shape, f"hold one weight a {of_what}")
    return weight


def raise_tangent_of_nothing(where: str) -> NoReturn:
    """Raise SC202 for a direction at a bias that is not there."""
    raise UsageError("SC202", "`bias_tangent` has no effect without a `bias`", where=where, hint="Pass `bias` as well")


def check_mergeable(where: str, state: Any, other: Any) -> None:
    """Raise unless two states of a log partition are of the same rows and class axis, in one library."""
    if type(other) is not type(state):
        name = type(state).__name__
        raise InputError("SC113", f"`other` must be a {name}; got {shown(type(other).__name__)}", where=where)
    as_companion(where, "other", other.maximum, "self", state.maximum)
    check_shape(where, "other", other.maximum, tuple(state.maximum.shape), "have the rows of `self`")
    if state.axis != other.axis:
        raise ShapeError(
            "SC101", f"`other` must have the class axis of `self`, {state.axis}; got {other.axis}", where=where
        )


# ---- numbers: raised by the twins
def raise_bad_index(where: str, targets: Any, n_classes: int, row: int, n_bad: int) -> NoReturn:
    """Raise SC121 for the class index in `row`, counted flat, and the `n_bad` others."""
    shape = tuple(targets.shape)
    first = int(targets[np.unravel_index(row, shape)]) if shape else int(targets)
    raise TargetError(
        "SC121",
        f"`targets` must lie in [0, {n_classes}); got {first}{_place(shape, row)} "
        f"({n_bad} of {math.prod(shape)} are outside)",
        where=where,
        hint=LABELS,
    )


def raise_bad_distribution(where: str, rows: Any, shape: tuple[int, ...], row: int, n_bad: int) -> NoReturn:
    """Raise SC122 for the row of target probabilities in `row` and the `n_bad` others; `shape` without class axis."""
    values = np.array([float(value) for value in rows[row]])
    hint = ""
    if np.isnan(values).any():
        found = "NaN"
    elif (values < 0).any():
        found = f"{values[values < 0][0]:g}"
        hint = "If these are logits, pass `softmax(targets)`"
    else:
        found = f"the sum {values.sum():g}"
        hint = "If these are counts, divide every row by its sum"
    raise TargetError(
        "SC122",
        f"each row of floating-point `targets` must hold numbers of at least 0 with sum 1; got {found}"
        f"{_place(shape, row)} ({n_bad} of {rows.shape[0]} rows are wrong)",
        where=where,
        hint=hint,
    )


def raise_bad_weight(where: str, name: str, shape: tuple[int, ...], first: int, value: float, n_bad: int) -> NoReturn:
    """Raise SC142 for a weight that is negative or not finite, at the flat index `first`, and the `n_bad` others."""
    raise OptionError(
        "SC142",
        f"`{name}` must be finite and not negative; got {value:g}{_place(shape, first)} "
        f"({n_bad} of {math.prod(shape)} are not)",
        where=where,
    )


def raise_zero_weights(where: str, name: str, size: int) -> NoReturn:
    """Raise SC142 for weights that are all zero."""
    raise OptionError("SC142", f"`{name}` must not be all zero; got {size} zeros", where=where)


def raise_infinite_row_weights(where: str, n_bad: int, n_rows: int) -> NoReturn:
    """Raise SC142 because the product of two finite weights is infinite."""
    raise OptionError(
        "SC142",
        f"`sample_weight` times `class_weight` must be finite; got {n_bad} of {n_rows} rows where it is not",
        where=where,
        hint="Only ratios of weights matter: divide them by their largest",
    )


def raise_not_differentiable(where: str, name: str) -> NoReturn:
    """Raise SC141 for an argument that asks for a gradient and has none."""
    raise OptionError(
        "SC141", f"`{name}` must not require a gradient: there is none in it", where=where, hint="Detach it"
    )


def raise_out_refused(where: str, reason: str) -> NoReturn:
    """Raise SC141 for an `out` that cannot be filled here."""
    raise OptionError("SC141", f"`out` must be left away {reason}; got an array", where=where)


def raise_overlap(where: str) -> NoReturn:
    """Raise SC141 for an `out` that lies partly in the logits."""
    raise OptionError(
        "SC141", "`out` must be `logits` itself or lie apart from it; got an array that overlaps it partly", where=where
    )


def _place(shape: tuple[int, ...], flat_index: int) -> str:
    """Return " at index 3", " at index (0, 3)", or nothing for a single number."""
    place = tuple(int(i) for i in np.unravel_index(flat_index, shape)) if shape else ()
    if not place:
        return ""
    return f" at index {place[0] if len(place) == 1 else place}"
