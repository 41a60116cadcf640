"""Paths on this machine, and the errors about them."""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path

from softclass.errors import SHOWN_CHARACTERS, PathError, UsageError, nearest, shown

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def check_local_path(path: str | Path, *, file: bool = False) -> Path:
    """
    Return a path that exists on this machine.

    Parameters
    ----------
    path : str or Path
        What the user wrote.
    file : bool, default False
        Whether a folder will not do.

    Returns
    -------
    Path
        The same path; links are not resolved.

    Raises
    ------
    UsageError, PathError
        SC208, if it is an address; SC603, if nothing readable stands there; SC605, if a file is needed and it is none.

    Examples
    --------
    >>> check_local_path("https://example.org/a.csv")
    Traceback (most recent call last):
    softclass.errors.UsageError: [SC208] https://example.org/a.csv: must be a path on this machine; got an address. ...
    """
    refuse_address(path)
    if path == "":  # pathlib would take it for the working folder
        raise PathError("SC603", "the path is empty", hint="Is a variable of the shell not set?")
    found = Path(path)
    try:
        mode = found.stat().st_mode
    except (OSError, ValueError) as cause:
        raise cannot_read(found, cause) from cause
    if file and not stat.S_ISREG(mode):
        raise not_a_file(found, mode)
    return found


def shown_path(path: str | Path) -> str:
    """
    Return a path as it may appear on a screen; a long one loses its front, not its name.

    Examples
    --------
    >>> shown_path("/very/long" * 9 + "/a.csv")[-15:]
    'very/long/a.csv'
    """
    text = shown(path, limit=2**16)
    return text if len(text) <= SHOWN_CHARACTERS else "…" + text[1 - SHOWN_CHARACTERS :]


def refuse_address(path: str | Path) -> None:
    """Refuse what looks like http://, s3:// and the like."""
    if _ADDRESS.match(str(path)):
        message = "must be a path on this machine; got an address"
        raise UsageError("SC208", message, where=shown_path(path), hint="Download the file first")


def cannot_read(path: str | Path, cause: OSError | ValueError) -> PathError:
    """SC603 with the words of the system, or with the name that was meant."""
    number = getattr(cause, "errno", None)
    if number == errno.ENOENT and isinstance(path, Path):
        alike = nearest(path.name, _names_beside(path), limit=1)
        hint = f'Did you mean "{shown_path(path.with_name(alike[0]))}"?' if alike else ""
        error = PathError("SC603", "there is no such file or folder", where=shown_path(path), hint=hint)
    else:
        words = os.strerror(number) if number else str(cause)
        error = PathError("SC603", f"cannot be read: {words}", where=shown_path(path))
    error.errno = number
    return error


def _names_beside(path: Path) -> list[str]:
    try:
        with os.scandir(path.parent) as entries:
            return [entry.name for entry, _ in zip(entries, range(1000), strict=False)]
    except OSError:
        return []


def not_a_file(path: Path, mode: int) -> PathError:
    """Return SC605, naming what stands there instead."""
    return PathError("SC605", f"must be a regular file; it is {_kind_of_file(mode)}", where=shown_path(path))


def _kind_of_file(mode: int) -> str:
    kinds = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))
    return next((name for is_kind, name in kinds if is_kind(mode)), "a device")
