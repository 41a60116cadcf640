"""Arrays in answers: dtype, shape and little-endian bytes, as base64 in JSON or all packed into one file."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

DTYPES = ("float32", "float64", "uint8", "uint16", "int32")

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
    return _replaced(value, lambda little: {"base64": base64.b64encode(little.tobytes()).decode("ascii")})


def packed(value: Any) -> bytes:
    """
    Return an answer as one compressed file.

    Inflated, it is a line of JSON, in which every array has an ``offset``, and the bytes that the offsets count in: of
    each array the first bytes of all its numbers, then the second ones and so on, since bytes that are alike compress
    well beside each other. Equal arrays stand there once; small ones first, where they find what they repeat.

    Parameters
    ----------
    value : object
        As for `encoded`.

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

    def place(little: Array) -> dict[str, int]:
        return {"offset": places.setdefault(little.reshape(-1, 1).view(np.uint8).T.tobytes(), 0)}

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
        if value.get("dtype") not in DTYPES or "offset" not in value:
            return {name: whole(item) for name, item in value.items()}
        dtype, shape = np.dtype(value["dtype"]).newbyteorder("<"), value["shape"]
        count = int(np.prod(shape))
        planes = np.frombuffer(arrays, np.uint8, count * dtype.itemsize, value["offset"])
        numbers = np.ascontiguousarray(planes.reshape(dtype.itemsize, count).T).view(dtype)
        return numbers.reshape(shape).astype(dtype.newbyteorder("="))

    return whole(json.loads(line))


def _replaced(value: Any, place: Callable[[Array], dict[str, Any]]) -> Any:
    if isinstance(value, np.ndarray):
        if value.dtype.name not in DTYPES:
            raise TypeError(f"an answer holds arrays of {', '.join(DTYPES)}; got {value.dtype}")
        little = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("<"))
        return {"dtype": value.dtype.name, "shape": list(value.shape), **place(little)}
    if isinstance(value, dict):
        return {name: _replaced(item, place) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_replaced(item, place) for item in value]
    return value
