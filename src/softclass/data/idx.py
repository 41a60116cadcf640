"""IDX, the format of MNIST: two zero bytes, a type, a number of axes, the axes, the values; often inside gzip."""

from __future__ import annotations

import gzip
import math
import os
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from softclass.data.compression import BOMB_BYTES, BOMB_RATIO
from softclass.data.folders import open_data_file
from softclass.data.signatures import HEAD_BYTES, looks_like_gzip
from softclass.errors import ImageError, shown

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MAX_AXES = 5
_DEFLATE_RATIO = 1032  # no deflate stream unpacks to more
_BLOCK = 2**20


def read_idx(path: Path) -> npt.NDArray[Any]:
    r"""Return the array of an IDX file, plain or gzip.

    The size that the header states is compared with the bytes that are there before anything is allocated.

    Raises
    ------
    ImageError
        SC361 when the header, the size or the compression is wrong.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "labels-idx1-ubyte"
    ...     _ = path.write_bytes(b"\0\0\x08\x01" + b"\0\0\0\x02" + b"\7\3")
    ...     read_idx(path)
    array([7, 3], dtype=uint8)
    """
    name = path.name
    with open_data_file(path) as raw:
        size = os.fstat(raw.fileno()).st_size
        is_gzip = looks_like_gzip(raw.read(HEAD_BYTES))
        raw.seek(0)
        if not is_gzip:
            return _read(raw, name, size, is_gzip=False)
        try:
            with gzip.GzipFile(fileobj=raw) as stream:
                return _read(stream, name, size, is_gzip=True)  # type: ignore[arg-type]
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise _malformed(name, "the gzip stream inside is damaged or cut off") from error


def _read(file: BinaryIO, name: str, size: int, *, is_gzip: bool) -> npt.NDArray[Any]:
    """Read header and values from an open stream; `size` is that of the file on disk."""
    dtype, shape = _header(file, name)
    n_bytes = math.prod(shape) * dtype.itemsize  # a Python integer: nothing overflows
    stated = f"the header states {' x '.join(map(str, shape))} values, {n_bytes:,} bytes"
    left = size - 4 - 4 * len(shape)
    if not is_gzip and n_bytes != left:
        raise _malformed(name, f"{stated}, and {left:,} follow it")
    if is_gzip and (n_bytes > _DEFLATE_RATIO * size or (n_bytes > BOMB_BYTES and n_bytes > BOMB_RATIO * size)):
        raise _malformed(name, f"{stated}, out of {size:,} compressed ones")
    values = np.empty(n_bytes, dtype=np.uint8)
    view, filled = values.data, 0
    while filled < n_bytes:
        count = file.readinto(view[filled : filled + _BLOCK])  # type: ignore[attr-defined]
        if not count:
            raise _malformed(name, f"{stated}, and {filled:,} follow it")
        filled += count
    if file.read(1):
        raise _malformed(name, f"{stated}, and more follow it")
    return values.view(dtype).reshape(shape)


def _header(file: BinaryIO, name: str) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Type and axes."""
    magic = file.read(4)
    if not magic:
        raise _malformed(name, "it is empty")
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _TYPES or not 1 <= magic[3] <= _MAX_AXES:
        raise _malformed(name, f"the first bytes are {magic.hex(' ')}, which no IDX file has")
    sides = file.read(4 * magic[3])
    if len(sides) < 4 * magic[3]:
        raise _malformed(name, "it ends inside its header")
    shape = tuple(int.from_bytes(sides[at : at + 4], "big") for at in range(0, len(sides), 4))
    return np.dtype(_TYPES[magic[2]]), shape


def _malformed(name: str, what: str) -> ImageError:
    return ImageError("SC361", f"must be a whole IDX file; {what}", where=shown(name))
