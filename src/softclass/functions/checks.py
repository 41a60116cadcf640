"""What the functions demand of their arguments; the only file of this room that raises."""

from __future__ import annotations

import math
import operator
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from softclass.errors import DTypeError, InputError, OptionError, ShapeError, TargetError, shown

Array = npt.NDArray[Any]

REDUCTIONS = ("mean", "sum", "none")
# What people call the types of arrays that hold no numbers.
KINDS = {"O": "objects", "U": "text", "S": "text", "b": "bool"}


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


def as_logits(where: str, value: object, axis: int) -> tuple[Array, int]:
    """Return the logits as an array with at least one axis, and the class axis counted from 0."""
    logits = as_array(where, "logits", value)
    check_float_type(where, "logits", logits, "float16, float32, float64 or integers", integers=True)
    if logits.ndim == 0:
        raise ShapeError(
            "SC102",
            f"`logits` must have at least one axis, the classes; got the single number {shown(logits[()])}",
            where=where,
        )
    return logits, _as_axis(where, axis, logits)


def check_float_type(where: str, name: str, array: Array, wanted: str, *, integers: bool) -> None:
    """Raise SC111 unless the array holds float16, float32, float64 or, where allowed, integers."""
    is_float = array.dtype.kind == "f" and array.dtype.itemsize <= 8
    if is_float or (integers and array.dtype.kind in "iu"):
        return
    raise DTypeError(
        "SC111",
        f"`{name}` must be an array of {wanted}; got {KINDS.get(array.dtype.kind, shown(array.dtype))}",
        where=where,
        hint=f"If the values are meant as numbers, pass them as such: np.asarray({name}, dtype=float)",
    )


def _as_axis(where: str, axis: object, logits: Array) -> int:
    try:
        number = operator.index(axis)  # type: ignore[arg-type]
    except TypeError:
        number = None
    if isinstance(axis, bool) or number is None or not -logits.ndim <= number < logits.ndim:
        raise OptionError(
            "SC141",
            f"`axis` must be an integer in [{-logits.ndim}, {logits.ndim}) for `logits` of shape {logits.shape}; "
            f"got {shown(repr(axis))}",
            where=where,
        )
    return number % logits.ndim


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
    """Return one real number, or NaN where it is none."""
    if isinstance(value, (bool, np.bool_, str, bytes)) or np.ndim(value) != 0:
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def check_reduction(where: str, value: object) -> None:
    """Raise SC141 unless the reduction is one of three words."""
    if isinstance(value, str) and value in REDUCTIONS:
        return
    raise OptionError("SC141", f'`reduction` must be "mean", "sum" or "none"; got {shown(repr(value))}', where=where)


def as_targets(where: str, value: object, logits: Array, axis: int) -> Array:
    """Return class indices (the shape of `logits` without `axis`) or target probabilities (its whole shape)."""
    targets = as_array(where, "targets", value)
    without_axis = logits.shape[:axis] + logits.shape[axis + 1 :]
    if isinstance(value, (list, tuple)) and targets.size == 0 and targets.shape == without_axis:
        return targets.astype(np.int64)  # an empty list has no type of its own: it holds no index
    if targets.dtype.kind not in "iu" and not (targets.dtype.kind == "f" and targets.dtype.itemsize <= 8):
        _raise_target_type(where, targets)
    wanted = without_axis if targets.dtype.kind in "iu" else logits.shape
    if targets.shape == wanted:
        return targets
    rule = (
        "integer `targets` are class indices and must have the shape of `logits` without its class axis"
        if targets.dtype.kind in "iu"
        else "floating-point `targets` are probabilities and must have the shape of `logits`"
    )
    raise ShapeError(
        "SC101",
        f"{rule}; got `targets` of shape {targets.shape} and `logits` of shape {logits.shape}",
        where=where,
        hint=_target_shape_hint(targets, logits.shape, without_axis),
    )


def _target_shape_hint(targets: Array, shape: tuple[int, ...], without_axis: tuple[int, ...]) -> str:
    if targets.dtype.kind == "f":
        return "If these are class indices, pass `targets.astype(int)`" if targets.shape == without_axis else ""
    if targets.shape == shape:
        return "If these are probabilities, pass `targets.astype(float)`"
    return "Pass `targets.ravel()`" if len(without_axis) == 1 and targets.size == without_axis[0] else ""


def _raise_target_type(where: str, targets: Array) -> NoReturn:
    raise DTypeError(
        "SC111",
        "`targets` must be integers (class indices) or float16, float32, float64 (probabilities); "
        f"got {KINDS.get(targets.dtype.kind, shown(targets.dtype))}",
        where=where,
        hint="If these are labels, fit SoftmaxRegression, which encodes them",
    )


def raise_bad_index(where: str, targets: Array, n_classes: int, row: int, n_bad: int) -> NoReturn:
    """Raise SC121 for the class index in `row` and the `n_bad` others."""
    raise TargetError(
        "SC121",
        f"`targets` must lie in [0, {n_classes}); got {targets.ravel()[row]}{_place(targets.shape, row)} "
        f"({n_bad} of {targets.size} are outside)",
        where=where,
        hint="If these are labels, fit SoftmaxRegression, which encodes them",
    )


def raise_bad_distribution(where: str, rows: Array, shape: tuple[int, ...], row: int, n_bad: int) -> NoReturn:
    """Raise SC122 for the row of target probabilities in `row` and the `n_bad` others; `shape` without class axis."""
    values = rows[row].astype(np.float64)
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
        f"{_place(shape, row)} ({n_bad} of {len(rows)} rows are wrong)",
        where=where,
        hint=hint,
    )


def as_sample_weight(where: str, value: object, shape: tuple[int, ...]) -> npt.NDArray[np.float64] | None:
    """Return the weights of the rows as (N,) float64; None stays None."""
    return None if value is None else _as_weight(where, "sample_weight", value, shape, "one weight a row")


def as_class_weight(where: str, value: object, n_classes: int) -> npt.NDArray[np.float64] | None:
    """Return the weights of the classes as (K,) float64; None stays None."""
    return None if value is None else _as_weight(where, "class_weight", value, (n_classes,), "one weight a class")


def _as_weight(where: str, name: str, value: object, shape: tuple[int, ...], rule: str) -> npt.NDArray[np.float64]:
    weight = as_array(where, name, value)
    if weight.dtype.kind != "b":
        check_float_type(where, name, weight, "floats, integers or bool", integers=True)
    if weight.shape != shape:
        raise ShapeError("SC101", f"`{name}` must hold {rule}, shape {shape}; got shape {weight.shape}", where=where)
    flat = np.require(weight.reshape(-1), dtype=np.float64, requirements=["C", "A"])
    is_bad = ~((flat >= 0) & (flat < math.inf))
    if is_bad.any():
        first = int(is_bad.argmax())
        raise OptionError(
            "SC142",
            f"`{name}` must be finite and not negative; got {flat[first]:g}{_place(shape, first)} "
            f"({int(is_bad.sum())} of {flat.size} are not)",
            where=where,
        )
    if flat.size and not flat.any():
        raise OptionError("SC142", f"`{name}` must not be all zero; got {flat.size} zeros", where=where)
    return flat


def check_row_weights(where: str, row_weights: npt.NDArray[np.float64]) -> None:
    """Raise SC142 if the product of two finite weights is infinite."""
    if np.isfinite(row_weights).all():
        return
    raise OptionError(
        "SC142",
        "`sample_weight` times `class_weight` must be finite; got "
        f"{int(np.isinf(row_weights).sum())} of {row_weights.size} rows where it is not",
        where=where,
        hint="Only ratios of weights matter: divide them by their largest",
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
