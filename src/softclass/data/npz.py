"""NPZ and NPY, the formats of NumPy: a small strict reader that never sees a pickle and never trusts a size."""

from __future__ import annotations

import ast
import math
import re
import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from softclass.data.archives import open_zip
from softclass.data.folders import open_data_file
from softclass.data.signatures import HEAD_BYTES, looks_like_npy
from softclass.errors import ImageError, shown

_MAGIC = b"\x93NUMPY"
_MAX_HEADER_BYTES = 64 * 1024
_PLAIN_TYPE = re.compile(r"[<>|=]?[biufSU][0-9]{1,6}")
_BLOCK = 2**20


def read_npz(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of an NPZ file by name; an NPY file counts as one with the single array "arr_0".

    Raises
    ------
    ImageError
        SC361 when it is malformed or a decompression bomb; SC362 when it holds Python objects.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "two.npz"
    ...     np.savez(path, x=np.zeros((2, 8, 8)), y=np.array([0, 1]))
    ...     sorted((name, array.shape) for name, array in read_npz(path).items())
    [('x', (2, 8, 8)), ('y', (2,))]
    """
    name = path.name
    with open_data_file(path) as file:
        head = file.read(HEAD_BYTES)
        if looks_like_npy(head):
            size = file.seek(0, 2)
            file.seek(0)
            return {"arr_0": _read_array(file, size, name)}
        with open_zip(file, name) as archive:
            return _read_members(archive, name)


def _read_members(archive: zipfile.ZipFile, name: str) -> dict[str, npt.NDArray[Any]]:
    arrays: dict[str, npt.NDArray[Any]] = {}
    for member in archive.infolist():
        if not member.filename.endswith(".npy") or member.flag_bits & 1:
            raise _malformed(name, f'it holds "{shown(member.filename)}", which is no array')
        key = member.filename[: -len(".npy")]
        if key in arrays:
            raise _malformed(name, f'it holds "{shown(key)}" twice')
        try:
            with archive.open(member) as file:
                arrays[key] = _read_array(file, member.file_size, f"{name}, {key}")  # type: ignore[arg-type]
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as error:
            if isinstance(error, ImageError):
                raise
            raise _malformed(name, f'the array "{shown(key)}" is damaged') from error
    return arrays


def _read_array(file: BinaryIO, size: int, name: str) -> npt.NDArray[Any]:
    """Read one NPY stream of `size` bytes."""
    magic = file.read(8)
    if magic[:6] != _MAGIC or len(magic) < 8 or magic[6] not in (1, 2, 3):
        raise _malformed(name, "it does not begin like an array of NumPy")
    width = 2 if magic[6] == 1 else 4
    n_header = int.from_bytes(file.read(width), "little")
    if n_header > _MAX_HEADER_BYTES:
        raise _malformed(name, f"its header states a length of {n_header:,} bytes")
    dtype, shape, is_fortran = _parse_header(file.read(n_header), name)
    n_bytes = math.prod(shape) * dtype.itemsize  # a Python integer: nothing overflows
    left = size - 8 - width - n_header
    if n_bytes != left:
        sides = " x ".join(map(str, shape))
        raise _malformed(name, f"its header states {sides} values, {n_bytes:,} bytes, and {left:,} follow it")
    values = np.empty(n_bytes, dtype=np.uint8)
    view, filled = values.data, 0
    while filled < n_bytes:
        block = file.read(min(_BLOCK, n_bytes - filled))
        if not block:
            raise _malformed(name, "it ends before its last value")
        view[filled : filled + len(block)] = block
        filled += len(block)
    file.read(1)  # reaches the end of a member of an archive, so that its checksum is compared
    array = values.view(dtype)
    return array.reshape(shape[::-1]).transpose() if is_fortran else array.reshape(shape)


def _parse_header(text: bytes, name: str) -> tuple[np.dtype[Any], tuple[int, ...], bool]:
    """Type, shape and order out of the literal that stands before the values."""
    try:
        header = ast.literal_eval(text.decode("latin1"))
        descr, shape, is_fortran = header["descr"], header["shape"], header["fortran_order"]
    except (ValueError, SyntaxError, TypeError, KeyError, RecursionError, MemoryError) as error:
        raise _malformed(name, "its header cannot be read") from error
    if isinstance(descr, str) and descr.lstrip("<>|=").startswith("O"):
        raise ImageError(
            "SC362",
            "arrays must hold numbers or text; this one holds Python objects, which are never loaded",
            where=shown(name),
            hint="Save it again with a plain type, such as array.astype(numpy.uint8)",
        )
    if not isinstance(descr, str) or not _PLAIN_TYPE.fullmatch(descr):
        raise _malformed(name, f"its values are of type {shown(descr, 40)}, not of a plain one")
    if not isinstance(shape, tuple) or not all(type(side) is int and 0 <= side < 2**48 for side in shape):
        raise _malformed(name, "its header states an impossible shape")
    try:
        dtype = np.dtype(descr)
    except (TypeError, ValueError) as error:
        raise _malformed(name, f"its values are of type {shown(descr, 40)}, which does not exist") from error
    return dtype, shape, bool(is_fortran)


def _malformed(name: str, what: str) -> ImageError:
    return ImageError("SC361", f"must be a whole NPZ file; {what}", where=shown(name))
