"""Compressed files, undone while they are read; damage and bombs are told, not suffered."""

from __future__ import annotations

import bz2
import gzip
import io
import re
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO

from softclass.errors import PathError, TableError

BOMB_BYTES = 2**30
BOMB_RATIO = 200
_MAGIC = ((rb"\x1f\x8b\x08", "gzip"), (rb"BZh[1-9]", "bzip2"), (rb"\x28\xb5\x2f\xfd", "zstd"))


def compression_of(head: bytes) -> str | None:
    """Return how a file is compressed, from its first bytes."""
    return next((name for magic, name in _MAGIC if re.match(magic, head)), None)


class Decompressed(io.RawIOBase):
    """The inside of a compressed file: damage and bombs become SC331."""

    def __init__(self, outside: BinaryIO, n_read: Callable[[], int], method: str, where: str) -> None:
        self._outside = outside
        self._n_read = n_read
        self._inside = _open_compressed(outside, method)
        self._method = method
        self._where = where
        self._n_bytes = 0

    def readable(self) -> bool:
        """Return True, as `io.RawIOBase` asks."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer from the inside and return how many bytes that were."""
        view = memoryview(buffer).cast("B")
        try:
            block = self._inside.read(len(view))
        except (PathError, TableError):
            raise
        except (OSError, EOFError, ValueError, zlib.error) as cause:
            message = f"the {self._method} data are damaged or cut short"
            raise TableError("SC331", message, where=self._where) from cause
        self._n_bytes += len(block)
        if self._n_bytes > BOMB_BYTES and self._n_bytes > BOMB_RATIO * self._n_read():
            message = f"decompression bomb: {self._n_read():,} bytes hold more than {self._n_bytes:,}"
            hint = "If the data are honest, decompress the file first"
            raise TableError("SC331", message, where=self._where, hint=hint)
        view[: len(block)] = block
        return len(block)

    def close(self) -> None:
        """Close the inside and the file around it."""
        if not self.closed:
            self._inside.close()
            self._outside.close()
        super().close()


def _open_compressed(outside: BinaryIO, method: str) -> Any:
    """Open the inside of a compressed stream."""
    if method == "gzip":
        return gzip.GzipFile(fileobj=outside)
    if method == "bzip2":
        return bz2.BZ2File(outside)
    import pyarrow  # the standard library learns zstd only in Python 3.14

    return pyarrow.CompressedInputStream(pyarrow.PythonFile(outside), "zstd")
