"""Rows that do not fit into memory: what a solver asks of them, and a temporary file that gives it.

The file is row-major behind a header of 64 bytes, in the caller's own precision, so that a fit from it has the bits of
a fit of dense rows in memory. It has no name once it is open: a crash leaves nothing behind.
"""

from __future__ import annotations

import errno
import mmap
import os
import shutil
import struct
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import IO, Any

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[Any]  # (rows, D), C-contiguous, float32 or float64

HEADER = struct.Struct("<8sIIQQ4s28x")  # magic, version, rows of a window, N, D, dtype: 64 bytes
MAGIC = b"softrows"
VERSION = 1
WINDOW_BYTES = 8 * 2**20  # rows that are rewritten at once
AHEAD = 2  # windows the system is asked to read in advance


class AbstractRows(ABC):
    """Rows of numbers that are elsewhere, read in order and by blocks."""

    shape: tuple[int, int]
    dtype: np.dtype[Any]

    @abstractmethod
    def blocks(self, rows: int) -> Sequence[Rows]:
        """Return a lazy sequence of blocks of so many rows, the last one shorter."""

    @abstractmethod
    def changed(self, change: Callable[[Rows], Rows], dtype: npt.DTypeLike) -> AbstractRows:
        """Return the rows after `change`, which takes some of them and gives the same ones in `dtype`.

        The rows from before may be gone then.
        """

    @abstractmethod
    def kept(self, used: npt.NDArray[np.bool_]) -> AbstractRows:
        """Return the rows where `used`, of shape (N,), is true. The rows from before may be gone then."""

    @abstractmethod
    def whole(self) -> Rows:
        """Return all rows as one array."""


class SpillFile:
    """Takes rows and becomes `SpilledRows`, in a file that is open as long as the context.

    Parameters
    ----------
    n_features : int
        D.
    dtype : dtype
        Float32 or float64.
    room : int, optional
        Most bytes. Default: half of what is free where temporary files lie.
    """

    def __init__(self, n_features: int, dtype: npt.DTypeLike, room: int | None = None) -> None:
        self.room = shutil.disk_usage(tempfile.gettempdir()).free // 2 if room is None else room
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix="softclass-")  # noqa: SIM115 - closed by __exit__
        self._file.write(bytes(HEADER.size))
        self._n_features, self._dtype = n_features, np.dtype(dtype)
        self._size = HEADER.size

    def __enter__(self) -> SpillFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, rows: Rows) -> bool:
        """Write rows; return whether there was room. Without room the file is closed."""
        self._size += rows.nbytes
        if self._size <= self.room:
            try:
                self._file.write(np.ascontiguousarray(rows).data)
                self._file.flush()
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
            else:
                return True
        self._file.close()
        return False

    def finished(self) -> SpilledRows:
        """Return what was written."""
        n_rows = (self._size - HEADER.size) // (self._dtype.itemsize * self._n_features)
        return _with_header(self._file, n_rows, self._n_features, self._dtype)


class SpilledRows(AbstractRows):
    """Rows of a spill file.

    Parameters
    ----------
    file : binary file
        Open for reading and writing, with a header.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        file.seek(0)
        magic, version, _, n_rows, n_features, kind = HEADER.unpack(file.read(HEADER.size))
        if (magic, version) != (MAGIC, VERSION):
            raise ValueError("not a spill file")
        self.shape = (n_rows, n_features)
        self.dtype = np.dtype(kind.rstrip(b"\0").decode())

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return self.dtype.itemsize * self.shape[1]

    def window(self, first: int, last: int) -> Rows:
        """Return some rows where they lie in the file; the memory is given back with the array."""
        start, stop = HEADER.size + first * self.row_bytes, HEADER.size + last * self.row_bytes
        page = start - start % mmap.ALLOCATIONGRANULARITY
        mapped = mmap.mmap(self._file.fileno(), stop - page, access=mmap.ACCESS_READ, offset=page)
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._file.fileno(), stop, AHEAD * (stop - start), os.POSIX_FADV_WILLNEED)
        numbers = np.frombuffer(mapped, self.dtype, (last - first) * self.shape[1], start - page)
        return numbers.reshape(last - first, self.shape[1])

    def blocks(self, rows: int) -> Sequence[Rows]:
        """Return windows of the file."""
        return Windows(self, rows)

    def changed(self, change: Callable[[Rows], Rows], dtype: npt.DTypeLike) -> SpilledRows:
        """Return the rows after `change`, in the same place: they may not take more bytes than before."""
        return self._rewritten(map(change, self.blocks(self._window_rows)), dtype)

    def kept(self, used: npt.NDArray[np.bool_]) -> SpilledRows:
        """Return the rows where `used` is true, in the same place."""
        rows = self._window_rows
        blocks = self.blocks(rows)
        return self._rewritten((block[used[i * rows : (i + 1) * rows]] for i, block in enumerate(blocks)), self.dtype)

    def whole(self) -> Rows:
        """Return all rows, mapped."""
        return np.memmap(self._file, self.dtype, mode="r", offset=HEADER.size, shape=self.shape)

    @property
    def _window_rows(self) -> int:
        return max(1, WINDOW_BYTES // self.row_bytes)

    def _rewritten(self, blocks: Iterable[Rows], dtype: npt.DTypeLike) -> SpilledRows:
        """Write blocks from the start of the file on; each is read whole before what it replaces is written over."""
        place, n_rows = HEADER.size, 0
        for block in blocks:
            self._file.seek(place)
            self._file.write(np.ascontiguousarray(block).tobytes())
            self._file.flush()
            place += block.nbytes
            n_rows += len(block)
        self._file.truncate(place)
        return _with_header(self._file, n_rows, self.shape[1], np.dtype(dtype))


def _with_header(file: IO[bytes], n_rows: int, n_features: int, dtype: np.dtype[Any]) -> SpilledRows:
    window = max(1, WINDOW_BYTES // (dtype.itemsize * n_features))
    file.seek(0)
    file.write(HEADER.pack(MAGIC, VERSION, window, n_rows, n_features, dtype.str.encode()))
    file.flush()
    return SpilledRows(file)


class Windows(Sequence[Rows]):
    """Blocks of a spill file, each mapped when it is asked for."""

    def __init__(self, source: SpilledRows, rows: int) -> None:
        self._source, self._rows = source, rows

    def __len__(self) -> int:
        return -(-self._source.shape[0] // self._rows)

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(index)
        first = index * self._rows
        return self._source.window(first, min(first + self._rows, self._source.shape[0]))
