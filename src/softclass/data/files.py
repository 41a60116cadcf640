"""Every byte in or out: local paths only, read once and whole, written beside and renamed."""

from __future__ import annotations

import io
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from softclass.data.compression import Decompressed, compression_of
from softclass.data.paths import cannot_read, check_local_path, not_a_file, shown_path
from softclass.data.writing import atomic_directory, atomic_write, atomic_write_text, check_folder_takes_more
from softclass.errors import PathError, TableError, TooLargeError

__all__ = [
    "MAX_LINE_BYTES", "STANDARD_INPUT", "atomic_directory", "atomic_write", "atomic_write_text",
    "check_folder_takes_more", "check_local_path", "open_binary", "open_standard_input", "opened", "read_bytes",
]  # fmt: skip

MAX_LINE_BYTES = 16 * 2**20
STANDARD_INPUT = "standard input"
_HEAD_BYTES = 16
# Flags that a platform may lack count as 0.
_READ_FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOCTTY", 0)


def read_bytes(path: str | Path, *, limit: int | None = None) -> bytes:
    """
    Read a whole regular file through one descriptor.

    Parameters
    ----------
    path : str or Path
        The file; compressed bytes are returned as they are.
    limit : int, optional
        The most bytes that are read.

    Returns
    -------
    bytes
        Its content.

    Raises
    ------
    UsageError, PathError, TooLargeError, TableError
        SC208, SC603, SC605 as `check_local_path`; SC606, if it is larger than `limit`; SC333, if it changed meanwhile.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = atomic_write(Path(folder) / "a.txt", lambda file: file.write(b"abc"))
    ...     read_bytes(path)
    b'abc'
    """
    where = check_local_path(path, file=True)
    # A pipe that takes the place of the file after the check must not hang the open: O_NONBLOCK.
    descriptor = _open_to_read(where, getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            raise not_a_file(where, before.st_mode)
        if limit is not None and before.st_size > limit:
            message = f"the file may hold at most {limit:,} bytes; it holds {before.st_size:,}"
            raise TooLargeError("SC606", message, where=shown_path(where))
        try:
            content = file.readall()
        except OSError as cause:
            raise cannot_read(where, cause) from cause
        if len(content) != before.st_size:
            raise _changed(where)
        _check_unchanged(where, before, os.fstat(descriptor))
    return content


def open_binary(path: str | Path) -> BinaryIO:
    """
    Open a file, or a pipe with a name, for one pass; gzip, bzip2 and zstd are undone on the way.

    Parameters
    ----------
    path : str or Path
        The file; how it is compressed is told by its first bytes, not by its name.

    Returns
    -------
    file object
        Reading raises SC331 for damaged compressed data and for more than 1 GiB at more than 200 times the size of the
        file, and SC333 at the end of a file that changed meanwhile.

    Raises
    ------
    UsageError, PathError
        SC208, SC603, SC605 as `check_local_path`.

    Examples
    --------
    >>> import gzip, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "a.gz"
    ...     _ = path.write_bytes(gzip.compress(b"abc"))
    ...     with open_binary(path) as file:
    ...         file.read()
    b'abc'
    """
    where = check_local_path(path)
    mode = where.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
        raise not_a_file(where, mode)
    descriptor = _open_to_read(where, 0)
    return _undo_compression(_OneRead(os.fdopen(descriptor, "rb", buffering=0), where), shown_path(where))


@contextmanager
def opened(path: str | Path) -> Iterator[BinaryIO]:
    """Open a regular file for reading in any order; SC333 at the end if it changed meanwhile."""
    where = check_local_path(path, file=True)
    descriptor = _open_to_read(where, getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as file:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            raise not_a_file(where, before.st_mode)
        yield file
        _check_unchanged(where, before, os.fstat(descriptor))


def open_standard_input() -> BinaryIO:
    """Open standard input for one pass, as `open_binary` opens a file."""
    # Closed standard input is None; a replaced one (tests, notebooks) may have no buffer.
    stream = getattr(sys.stdin, "buffer", None)
    if stream is None:
        raise PathError("SC603", "cannot be read: it is closed", where=STANDARD_INPUT)
    return _undo_compression(_OneRead(stream, None), STANDARD_INPUT)


class _OneRead(io.RawIOBase):
    """A raw file read once from front to back: counts bytes, names errors, notices a change at the end."""

    def __init__(self, raw: Any, path: Path | None) -> None:
        self._raw = raw
        self._path = path
        self._before = os.fstat(raw.fileno()) if path is not None else None
        self._head = b""
        self.n_bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        if self._head:
            count = min(len(view), len(self._head))
            view[:count], self._head = self._head[:count], self._head[count:]
        else:
            count = self._read_raw(view)
        self.n_bytes += count
        return count

    def head(self) -> bytes:
        """Look at the first bytes without using them up."""
        while len(self._head) < _HEAD_BYTES:
            block = memoryview(bytearray(_HEAD_BYTES))
            count = self._read_raw(block)
            if not count:
                break
            self._head += bytes(block[:count])
        return self._head

    def _read_raw(self, view: memoryview) -> int:
        try:
            # Standard input is buffered already: readinto1 returns what there is.
            read = getattr(self._raw, "readinto1", None) or self._raw.readinto
            count = int(read(view) or 0)
        except (OSError, ValueError) as cause:
            raise cannot_read(self._path or STANDARD_INPUT, cause) from cause
        if not count and self._before is not None and self._path is not None:
            _check_unchanged(self._path, self._before, os.fstat(self._raw.fileno()))
        return count

    def close(self) -> None:
        if not self.closed and self._path is not None:
            self._raw.close()
        super().close()


def _undo_compression(raw: _OneRead, where: str) -> BinaryIO:
    """Wrap a raw file according to its first bytes."""
    try:
        head = raw.head()
    except BaseException:
        raw.close()
        raise
    method = compression_of(head)
    if method is None:
        return io.BufferedReader(raw, 2**18)
    inside = Decompressed(io.BufferedReader(raw, 2**18), lambda: raw.n_bytes, method, where)
    return io.BufferedReader(inside, 2**18)


def _open_to_read(path: Path, flags: int) -> int:
    try:
        return os.open(path, _READ_FLAGS | flags)
    except OSError as cause:
        raise cannot_read(path, cause) from cause


def _check_unchanged(path: Path, before: os.stat_result, after: os.stat_result) -> None:
    if stat.S_ISREG(before.st_mode) and (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise _changed(path)


def _changed(path: Path) -> TableError:
    hint = "Wait until it is complete, or read a copy"
    return TableError("SC333", "the file changed while it was read", where=shown_path(path), hint=hint)
