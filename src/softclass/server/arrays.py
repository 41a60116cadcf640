"""Arrays in answers: dtype, shape and little-endian bytes, as base64 in JSON or all packed into one file."""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

DTYPES = ("float32", "float64", "uint8", "uint16", "int32")
SHORT_BITS = 23  # of a float and of the step that it is a multiple of: all sums of such floats are exact in float32

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class LinearLogits:
    """Logits that a file need not hold, since they follow from inputs that it holds anyway.

    Attributes
    ----------
    inputs : uint8 array of shape (D, N)
        One column a row of logits.
    weight : float32 array of shape (K, D)
        One row a class.
    bias : float32 array of shape (K,)
        Of the classes.
    """

    inputs: Array
    weight: Array
    bias: Array

    @property
    def values(self) -> Array:
        """The logits, float32 of shape (N, K), summed in float64 and rounded once."""
        exact = self.inputs.T.astype(np.float64) @ self.weight.T.astype(np.float64)  # (N, K)
        return (exact + self.bias).astype(np.float32)


def encoded(value: Any) -> Any:
    """
    Return an answer as JSON can hold it, every array with its bytes in base64.

    Parameters
    ----------
    value : object
        Mappings, sequences, text, numbers and arrays of the types in `DTYPES`.

    Returns
    -------
    object
        The same without arrays.

    Raises
    ------
    TypeError
        For an array of another type.

    Examples
    --------
    >>> encoded({"u": np.array([1, 2], dtype=np.uint8)})
    {'u': {'dtype': 'uint8', 'shape': [2], 'base64': 'AQI='}}
    """
    return _replaced(value, lambda little: {"base64": base64.b64encode(little.tobytes()).decode("ascii")})


def packed(value: Any) -> bytes:
    """
    Return an answer as one compressed file.

    Inflated, it is a line of JSON, in which every array has an ``offset``, and the bytes that the offsets count in: of
    each array the first bytes of all its numbers, then the second ones and so on, since bytes that are alike compress
    well beside each other. Equal arrays stand there once; small ones first, where they find what they repeat. Floats
    that are ``(least + n) step`` for whole n and a power of two are kept as these n, in the ``bytes`` that the largest
    needs. In the place of `LinearLogits` stands what they follow from.

    Parameters
    ----------
    value : object
        As for `encoded`; `LinearLogits` as well.

    Returns
    -------
    bytes
        In the zlib format, which browsers inflate.

    Examples
    --------
    >>> zlib.decompress(packed([np.array([1, 513], dtype=np.uint16)]))
    b'[{"dtype":"uint16","shape":[2],"offset":0}]\\n\\x01\\x01\\x00\\x02'
    """
    places = dict[bytes, int]()

    def place(little: Array) -> dict[str, Any]:
        whole, facts = _whole(little)
        planes = whole.reshape(-1, 1).view(np.uint8).T[: facts.get("bytes")]
        return {"offset": places.setdefault(planes.tobytes(), 0), **facts}

    _replaced(value, place)  # to know all arrays
    content = bytearray()
    for planes in sorted(places, key=len):
        places[planes] = len(content)
        content.extend(planes)
    line = json.dumps(_replaced(value, place), ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n"
    # Small blocks with few matches suit numbers: each block has letters of its own.
    deflate = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS, 6, zlib.Z_FILTERED)
    return deflate.compress(line.encode() + content) + deflate.flush()


def unpacked(content: bytes) -> Any:
    """
    Return the answer that was `packed`, with its arrays.

    Examples
    --------
    >>> unpacked(packed({"u": np.array([[1.5, -2]])}))
    {'u': array([[ 1.5, -2. ]])}
    """
    line, _, arrays = zlib.decompress(content).partition(b"\n")

    def whole(value: Any) -> Any:
        if isinstance(value, list):
            return [whole(item) for item in value]
        if not isinstance(value, dict):
            return value
        if "linear" in value:
            return LinearLogits(**whole(value["linear"])).values
        if value.get("dtype") not in DTYPES or "offset" not in value:
            return {name: whole(item) for name, item in value.items()}
        dtype, shape = np.dtype(value["dtype"]), value["shape"]
        stored = np.dtype("<u4") if "step" in value else dtype.newbyteorder("<")
        n_planes = value.get("bytes", stored.itemsize)
        planes = np.zeros((math.prod(shape), stored.itemsize), np.uint8)
        kept = np.frombuffer(arrays, np.uint8, len(planes) * n_planes, value["offset"])
        planes[:, :n_planes] = kept.reshape(n_planes, -1).T
        numbers = planes.view(stored).reshape(shape)
        if "step" in value:
            numbers = (numbers.astype(np.float64) + value["least"]) * value["step"]
        return numbers.astype(dtype)

    return whole(json.loads(line))


def _whole(values: Array) -> tuple[Array, dict[str, Any]]:
    """Return floats as whole numbers, and what makes them floats again; what is no such float as it is."""
    if values.dtype.kind != "f" or not values.size or not np.isfinite(values).all():
        return values, {}
    if np.signbit(values[values == 0]).any():  # a negative zero would lose its sign
        return values, {}
    for step in 2.0 ** -np.arange(SHORT_BITS):
        counts = values.astype(np.float64) / step
        if np.abs(counts).max() >= 2.0**SHORT_BITS:
            break
        if (counts == np.rint(counts)).all():
            least = int(counts.min())
            n = (counts - least).astype("<u4")
            return n, {"step": float(step), "least": least, "bytes": max(1, -(-int(n.max()).bit_length() // 8))}
    return values, {}


def _replaced(value: Any, place: Callable[[Array], dict[str, Any]]) -> Any:
    if isinstance(value, np.ndarray):
        if value.dtype.name not in DTYPES:
            raise TypeError(f"an answer holds arrays of {', '.join(DTYPES)}; got {value.dtype}")
        little = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("<"))
        return {"dtype": value.dtype.name, "shape": list(value.shape), **place(little)}
    if isinstance(value, LinearLogits):
        shape = [value.inputs.shape[1], len(value.bias)]
        return {"dtype": "float32", "shape": shape, "linear": _replaced(vars(value), place)}
    if isinstance(value, dict):
        return {name: _replaced(item, place) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_replaced(item, place) for item in value]
    return value
