"""What went wrong, as one of our errors; for a bug in softclass also a crash file without any data in it."""

from __future__ import annotations

import errno
import os
import platform
import shlex
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from softclass.cli.packages import NEEDED, installed_version
from softclass.errors import InputError, InternalError, PathError, SoftclassError, TooLargeError, shown


def as_softclass_error(error: Exception, arguments: Sequence[str]) -> SoftclassError:
    """Return the error to show; an unexpected one becomes SC100 and leaves a crash file.

    Examples
    --------
    >>> as_softclass_error(MemoryError(), []).code
    'SC606'
    """
    if isinstance(error, SoftclassError) and not isinstance(error, (InternalError, InputError)):
        return error
    if isinstance(error, MemoryError):
        return TooLargeError("SC606", "there is not enough memory", hint="Train on fewer rows with --rows N")
    if isinstance(error, OSError) and error.errno is not None:
        name = shown(error.filename) if error.filename is not None else "output"
        writing = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)
        from softclass.data.writing import what_to_do

        hint = what_to_do(error.errno) if writing else ""
        return PathError("SC604" if writing else "SC603", f"{os.strerror(error.errno)}", where=name, hint=hint)
    where = _place(error)
    path = _crash_file(error, arguments)
    hint = "Run again with --debug" + (f"; {path} tells us more and holds none of your data" if path else "")
    if isinstance(error, SoftclassError):
        return type(error)(error.code, error.message, where=error.where or where, hint=hint)
    return InternalError("SC100", f"a bug in softclass: {type(error).__name__}", where=where, hint=hint)


def traceback_text(error: Exception) -> str:
    """Return the whole traceback, for --debug."""
    return "".join(traceback.format_exception(error))


def _place(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if f"{os.sep}softclass{os.sep}" in frame.filename] or frames
    return f"{Path(ours[-1].filename).name}, line {ours[-1].lineno}" if ours else ""


def _crash_file(error: Exception, arguments: Sequence[str]) -> Path | None:
    """Write versions, command and traceback; the text of the exception is left out, since it may quote a cell."""
    lines = [
        f"command: softclass {shlex.join(arguments)}",
        f"python: {sys.version.split()[0]} on {platform.platform()}",
    ]
    lines += [f"{name}: {installed_version(name) or 'not installed'}" for name in ("softclass", *NEEDED)]
    one: BaseException | None = error
    while one is not None:
        lines += ["", f"{type(one).__module__}.{type(one).__qualname__}", *traceback.format_tb(one.__traceback__)]
        one = one.__cause__ or one.__context__
    name = f"softclass-crash-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
    for folder in (_beside_output(arguments), Path(tempfile.gettempdir())):
        try:
            path = folder / name
            # Never an existing file, nor the target of a link that somebody put there.
            with path.open("x", encoding="utf-8", errors="backslashreplace") as file:
                file.write("\n".join(lines) + "\n")
        except OSError:
            continue
        return path
    return None


def _beside_output(arguments: Sequence[str]) -> Path:
    given = list(arguments)
    for option in ("-o", "--output"):
        if option in given[:-1]:
            return Path(given[given.index(option) + 1]).absolute().parent
        for one in given:
            if one.startswith(f"{option}="):
                return Path(one.partition("=")[2]).absolute().parent
    return Path(tempfile.gettempdir())
