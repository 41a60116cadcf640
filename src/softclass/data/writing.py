"""Files and folders written beside their place and renamed: old or new, never half."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import re
import secrets
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from softclass.data.paths import not_a_file, refuse_address, shown_path
from softclass.errors import PathError, UsageError

STALE_AFTER_S = 86_400
_MODE_BITS = 0o7777
# Flags that a platform may lack count as 0.
_WRITE_FLAGS = (
    os.O_CREAT | os.O_EXCL | os.O_WRONLY
    | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
)  # fmt: skip


def atomic_write_text(path: str | Path, text: str, *, overwrite: bool = True) -> Path:
    """
    Write a text as UTF-8, by `atomic_write`; bytes of a name that are no UTF-8 stand in it as they were read.

    Parameters
    ----------
    path, overwrite
        As for `atomic_write`.
    text : str
        The whole content.

    Returns
    -------
    Path
        `path`.
    """
    return atomic_write(path, lambda file: file.write(text.encode("utf-8", "surrogatepass")), overwrite=overwrite)


def atomic_write(
    path: str | Path,
    write: Callable[[BinaryIO], object],
    *,
    overwrite: bool = True,
    inputs: Sequence[str | Path] = (),
) -> Path:
    """
    Write a file so that at every moment either the old one or the whole new one stands there.

    Parameters
    ----------
    path : str or Path
        Where the file will stand; a link is followed.
    write : callable
        Gets an open binary file and writes the content.
    overwrite : bool, default True
        Whether a file that stands there is replaced.
    inputs : sequence of paths, optional
        Files that are being read and must not be written to.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    UsageError, PathError
        SC204, if it exists and `overwrite` is False; SC205, if it is one of `inputs`; SC208, if it is an address;
        SC604, if the machine cannot write it; SC605, if a folder or device stands there.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = atomic_write(Path(folder) / "a.txt", lambda file: file.write(b"abc"))
    ...     path.read_bytes(), len(list(Path(folder).iterdir()))
    (b'abc', 1)
    """
    refuse_address(path)
    target = _resolve(path)
    old = _check_target(target, path, overwrite=overwrite, inputs=inputs)
    _remove_stale(target)
    temporary = target.with_name(f".{_short(target.name)}.{secrets.token_hex(8)}.part")
    try:
        descriptor = os.open(temporary, _WRITE_FLAGS, 0o666)
        with os.fdopen(descriptor, "wb") as file:
            if old is not None and hasattr(os, "fchmod"):
                os.fchmod(descriptor, old.st_mode & _MODE_BITS)
            write(file)
            file.flush()
            os.fsync(descriptor)
        if not overwrite:
            _check_target(target, path, overwrite=False, inputs=inputs)
        os.replace(temporary, target)
        _sync_folder(target.parent)
    except BaseException as cause:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        if isinstance(cause, OSError) and not isinstance(cause, PathError):
            raise _cannot_write(path, cause) from cause
        raise
    return Path(path)


@contextmanager
def atomic_directory(path: str | Path, *, overwrite: bool = False, is_ours: Callable[[Path], bool]) -> Iterator[Path]:
    """
    Build a folder so that at every moment either the old one or the whole new one stands there.

    Parameters
    ----------
    path : str or Path
        Where the folder will stand.
    overwrite : bool, default False
        Whether a folder that stands there is replaced; it must be empty or ours.
    is_ours : callable
        Tells whether softclass made a folder.

    Yields
    ------
    Path
        The folder to fill: beside `path`, moved there at the end, removed after an exception.

    Raises
    ------
    UsageError, PathError
        SC204, if something stands there that is not replaced; SC208, if it is an address; SC604, if the machine cannot
        write it.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as root:
    ...     with atomic_directory(Path(root) / "run", is_ours=lambda folder: False) as folder:
    ...         _ = (folder / "a.txt").write_text("abc")
    ...     [file.name for file in (Path(root) / "run").iterdir()]
    ['a.txt']
    """
    refuse_address(path)
    target = _resolve(path)
    _check_folder(target, path, overwrite=overwrite, is_ours=is_ours)
    _remove_stale(target)
    temporary = target.with_name(f".{_short(target.name)}.tmp-{secrets.token_hex(8)}")
    try:
        with _writing(path):
            temporary.mkdir()
        try:
            yield temporary
        except PathError as error:  # named as it would have been called
            error.where = error.where.replace(temporary.name, target.name)
            raise
        with _writing(path):
            for folder, _, files in os.walk(temporary, topdown=False):
                for name in files:
                    _sync_file(Path(folder) / name)
                _sync_folder(Path(folder))
        _check_folder(target, path, overwrite=overwrite, is_ours=is_ours)
        with _writing(path):
            _move_in(temporary, target)
            _sync_folder(target.parent)
    finally:
        # After success this is the folder that was replaced, if any.
        shutil.rmtree(temporary, ignore_errors=True)


def check_folder_takes_more(path: str | Path) -> None:
    """
    Refuse a path beside which nothing can be made, before the work whose result is to stand there.

    Raises
    ------
    PathError
        SC604.
    """
    target = _resolve(path)
    probe = target.with_name(f".{_short(target.name)}.tmp-{secrets.token_hex(8)}")
    with _writing(path):
        probe.mkdir()
        probe.rmdir()


def _move_in(temporary: Path, target: Path) -> None:
    """Put a folder under its final name; what stood there is gone, or has the temporary name."""
    if not os.path.lexists(target):
        os.rename(temporary, target)
    elif not _exchange(temporary, target):
        aside = temporary.with_name(temporary.name.replace(".tmp-", ".old-"))
        os.rename(target, aside)
        try:
            os.rename(temporary, target)
        except BaseException:
            os.rename(aside, target)
            raise
        shutil.rmtree(aside, ignore_errors=True)


def _exchange(left: Path, right: Path) -> bool:
    """Swap two names in one step where the system can (Linux), so that no moment has neither."""
    function = getattr(ctypes.CDLL(None), "renameat2", None) if sys.platform == "linux" else None
    if function is None:
        return False
    at_cwd, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return bool(function(at_cwd, os.fsencode(left), at_cwd, os.fsencode(right), exchange) == 0)


def _resolve(path: str | Path) -> Path:
    try:
        return Path(os.path.realpath(path))
    except (OSError, ValueError) as cause:
        raise _cannot_write(path, cause) from cause


def _stat_of(target: Path, path: str | Path) -> os.stat_result | None:
    try:
        return target.stat()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as cause:
        raise _cannot_write(path, cause) from cause


def _check_target(
    target: Path, path: str | Path, *, overwrite: bool, inputs: Sequence[str | Path]
) -> os.stat_result | None:
    """Refuse what must not be written to; return the facts of the file that will be replaced."""
    old = _stat_of(target, path)
    if old is None:
        return None
    if not stat.S_ISREG(old.st_mode):
        raise not_a_file(Path(path), old.st_mode)
    for name in inputs:
        with contextlib.suppress(OSError):
            if os.path.samestat(old, os.stat(name)):
                message = f'the output must not be the input "{shown_path(name)}"'
                raise UsageError("SC205", message, where=shown_path(path), hint="Write to another file")
    if not overwrite:
        raise UsageError("SC204", "the file exists", where=shown_path(path), hint="Pass --overwrite, or another name")
    return old


def _check_folder(target: Path, path: str | Path, *, overwrite: bool, is_ours: Callable[[Path], bool]) -> None:
    """Refuse to replace anything but an empty folder or, when asked, one of ours."""
    old = _stat_of(target, path)
    if old is None:
        return
    if not stat.S_ISDIR(old.st_mode):
        message = "a file stands where a folder is to be written"
        raise UsageError("SC204", message, where=shown_path(path), hint="Choose another name")
    with _writing(path), os.scandir(target) as entries:
        if next(entries, None) is None:
            return
    if not is_ours(target):
        message = "the folder exists and is not one that softclass wrote, so it is never replaced"
        raise UsageError("SC204", message, where=shown_path(path), hint="Choose another name")
    if not overwrite:
        message = "the folder exists"
        raise UsageError("SC204", message, where=shown_path(path), hint="Pass --overwrite, or another name")


def _short(name: str) -> str:
    """Cut a name so that the temporary name is not too long for the file system."""
    return os.fsdecode(os.fsencode(name)[:200]) if len(os.fsencode(name)) > 200 else name


def _remove_stale(target: Path) -> None:
    """Remove temporaries of the same target that a killed process left more than a day ago."""
    pattern = re.compile(rf"\.{re.escape(_short(target.name))}\.([0-9a-f]{{16}}\.part|(tmp|old)-[0-9a-f]{{16}})")
    user = os.getuid() if hasattr(os, "getuid") else None
    with contextlib.suppress(OSError), os.scandir(target.parent) as entries:
        for entry in entries:
            if not pattern.fullmatch(entry.name):
                continue
            facts = entry.stat(follow_symlinks=False)
            if facts.st_mtime > time.time() - STALE_AFTER_S or (user is not None and facts.st_uid != user):
                continue
            if stat.S_ISDIR(facts.st_mode):
                shutil.rmtree(entry.path, ignore_errors=True)
            elif stat.S_ISREG(facts.st_mode):
                os.unlink(entry.path)


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0))
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """Make a rename last; some file systems cannot, and some folders may be written to but not read."""
    if os.name == "nt":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0))
    except PermissionError:
        return
    try:
        os.fsync(descriptor)
    except OSError as cause:
        if cause.errno != errno.EINVAL:
            raise
    finally:
        os.close(descriptor)


@contextmanager
def _writing(path: str | Path) -> Iterator[None]:
    """Turn errors of the system into SC604."""
    try:
        yield
    except PathError:
        raise
    except OSError as cause:
        raise _cannot_write(path, cause) from cause


def _cannot_write(path: str | Path, cause: OSError | ValueError) -> PathError:
    number = getattr(cause, "errno", None)
    words = os.strerror(number) if number else str(cause)
    if number == errno.ENOENT and not Path(path).parent.is_dir():  # /proc is there and takes no files
        words = f'there is no folder "{shown_path(Path(path).parent)}"'
    error = PathError("SC604", f"cannot be written: {words}", where=shown_path(path), hint=what_to_do(number))
    error.errno = number
    return error


def what_to_do(number: int | None) -> str:
    """Return what helps where the system refused to write, by the number of its error; "" if nothing is known to."""
    hints = {
        errno.ENOSPC: "Free some space, or write to another disk",
        errno.EDQUOT: "Free some space, or write to another disk",
        errno.EFBIG: "The size of files is limited here (ulimit -f): raise the limit, or write elsewhere",
        errno.EROFS: "Write to another folder",
        errno.EACCES: "Write to a folder of your own",
        errno.EPERM: "Write to a folder of your own",
        errno.ENOENT: "Make the folder first",
    }
    return hints.get(number or 0, "")
