"""Arrays in answers: dtype, shape and little-endian bytes, as base64 in JSON or packed into one file beside it."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

DTYPES = ("float32", "float64", "uint8", "uint16", "int32")
ALIGNMENT = 8  # bytes; so that a browser may look at numbers where they stand

Array = npt.NDArray[Any]


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
    return _replaced(value, lambda content: {"base64": base64.b64encode(content).decode("ascii")})


def packed(value: Any) -> tuple[Any, bytes]:
    """
    Return an answer as JSON can hold it, and the bytes of all its arrays, one after the other.

    Parameters
    ----------
    value : object
        As for `encoded`.

    Returns
    -------
    answer : object
        Every array with its ``offset`` and number of ``bytes``.
    content : bytes
        What the offsets count in; each array begins at a multiple of 8. Equal arrays stand there once.

    Examples
    --------
    >>> packed([np.array([1], dtype=np.uint8), np.array([2], dtype=np.uint8)])[1].hex()
    '010000000000000002'
    """
    content, places = bytearray(), dict[bytes, int]()

    def place(raw: bytes) -> dict[str, int]:
        if raw not in places:
            content.extend(bytes(-len(content) % ALIGNMENT))
            places[raw] = len(content)
            content.extend(raw)
        return {"offset": places[raw], "bytes": len(raw)}

    return _replaced(value, place), bytes(content)


def _replaced(value: Any, place: Callable[[bytes], dict[str, Any]]) -> Any:
    if isinstance(value, np.ndarray):
        if value.dtype.name not in DTYPES:
            raise TypeError(f"an answer holds arrays of {', '.join(DTYPES)}; got {value.dtype}")
        little = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("<"))
        return {"dtype": value.dtype.name, "shape": list(value.shape), **place(little.tobytes())}
    if isinstance(value, dict):
        return {name: _replaced(item, place) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_replaced(item, place) for item in value]
    return value
