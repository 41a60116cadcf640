"""The command line: finds the command, runs it, turns every way to fail into a sentence and an exit status."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import FrameType, ModuleType
from typing import Any, NoReturn, cast

from softclass.cli.commands import COMMANDS
from softclass.cli.layout import duration
from softclass.cli.output import Screen, discard
from softclass.errors import CheckFailedError, SoftclassError, UsageError, nearest, shown

INTERRUPTED = 130
TERMINATED = 143
HELP = ("--help", "-h")
# Signals that asked the process to stop: a library can turn the exception they raise into one of its own.
_signals: list[int] = []
THREAD_VARIABLES = ("SOFTCLASS_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def run() -> NoReturn:
    """Run the command line as a process."""
    _occupy_standard_streams()
    for stream in (sys.stdout, sys.stderr):
        # UTF-8 whatever the locale says; what has no UTF-8 form is escaped, never an error.
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    sys.meta_path.insert(0, _NoPandas())
    try:
        status = main(sys.argv[1:])
    finally:
        # What Python would write at exit could fail where nobody can say so any more.
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):
                discard(stream.fileno())
    sys.exit(status)


def main(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit status.

    Parameters
    ----------
    arguments : sequence of str
        What stands after ``softclass``.

    Returns
    -------
    int
        0 done, 1 a bug in softclass, 2 usage, 3 data, 4 model file, 5 a failed check, 6 the machine, 130 interrupted.

    Examples
    --------
    >>> main(["--version"])
    softclass ...
    0
    """
    screen = _first_screen(arguments)
    try:
        status = _dispatch(list(arguments), screen)
        screen.out.flush()
    except BrokenPipeError:
        # The reader has seen enough, as in `| head -1`.
        discard(sys.stdout.fileno())
        return 0
    except (Exception, KeyboardInterrupt) as error:
        # Nobody may be left to read it, as in `softclass trian 2>&1 | true`.
        try:
            return _tell(error, arguments, screen)
        except BrokenPipeError:
            discard(sys.stderr.fileno())
            return error.exit_status if isinstance(error, SoftclassError) else 1
    return status


def _tell(error: BaseException, arguments: Sequence[str], screen: Screen) -> int:
    """Say what went wrong and return the exit status."""
    screen.before_write()
    if signal.SIGTERM in _signals:
        return TERMINATED
    if signal.SIGINT in _signals or not isinstance(error, Exception):
        screen.err.write("interrupted: nothing was half-written, earlier outputs are untouched\n")
        return INTERRUPTED
    from softclass.cli.failure import as_softclass_error, traceback_text

    known = as_softclass_error(error, arguments)
    if "--debug" in arguments:
        screen.err.write(traceback_text(error))
    screen.error(known)
    return known.exit_status


def _first_screen(arguments: Sequence[str]) -> Screen:
    """Follow the options that decide how even a wrong command line is answered."""
    given = list(arguments)
    color = next((one.partition("=")[2] for one in given if one.startswith("--color=")), "auto")
    if "--color" in given[:-1]:
        color = given[given.index("--color") + 1]
    return Screen(color=color if color in ("always", "never") else "auto", as_json="--json" in given)


def _dispatch(arguments: list[str], screen: Screen) -> int:
    first, rest = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    if first in HELP:
        from softclass.cli.help import overview

        screen.result(overview(screen.out))
        return 0
    if first == "--version":
        from softclass import __version__

        screen.document({"softclass": __version__})
        screen.result(f"softclass {__version__}")
        return 0
    if first == "--install-completion":
        from softclass.cli.completion import install

        return install(rest, screen)
    if first not in COMMANDS:
        raise _unknown_command(first)
    before_dashes = rest[: rest.index("--")] if "--" in rest else rest
    if any(option in before_dashes for option in HELP):
        from softclass.cli.help import command_help

        screen.as_json = False
        screen.result(command_help(first, screen.out))
        return 0
    return _run_command(first, rest, screen)


def _run_command(command: str, arguments: Sequence[str], screen: Screen) -> int:
    from softclass.cli.progress import Progress
    from softclass.cli.usage import parse

    call = parse(command, arguments)
    common = call.common
    screen.configure(color=common.color, as_json=common.json, quiet=common.quiet, verbose=common.verbose)
    if common.quiet and common.verbose:
        raise UsageError("SC203", "--quiet and --verbose contradict each other", where=f"softclass {command}")
    progress = Progress(screen, common.progress)
    screen.progress = progress
    progress.emit("start", {"command": command})
    try:
        with _limited_threads(common.threads, command):
            status = call.function(*call.positional, **call.options, screen=screen) or 0
        screen.sum_up_notes()
        _check_notes(common.strict, screen)
        progress.emit("done", {"exit": status})
        if screen.verbose:
            screen.remark(f"done in {duration(time.monotonic() - progress.begin)}")
    except SoftclassError:
        screen.sum_up_notes()
        raise
    finally:
        progress.close()
    return status


def _check_notes(strict: bool, screen: Screen) -> None:
    if strict and screen.notes:
        codes = ", ".join(sorted({note.code for note in screen.notes}))
        raise CheckFailedError(
            "SC503", f"no notes are allowed with --strict; there were {len(screen.notes)} ({codes})", where="--strict"
        )


def _unknown_command(name: str) -> UsageError:
    if name.startswith("-"):
        return UsageError(
            "SC201",
            f"unknown option {shown(name)}",
            where="softclass",
            hint="Options stand behind the command: softclass COMMAND --option",
        )
    close = nearest(name, COMMANDS, 1)
    hint = f"Did you mean softclass {close[0]}?" if close else f"There are {', '.join(COMMANDS)}"
    if os.path.exists(name):
        hint = f"softclass train {shown(name)}, or another command: {', '.join(COMMANDS)}"
    return UsageError("SC201", f'there is no command "{shown(name)}"', where="softclass", hint=hint)


@contextmanager
def _limited_threads(threads: int | None, command: str) -> Iterator[None]:
    """Tell the libraries, none of which is loaded yet, how many threads to use."""
    if threads is not None and not 1 <= threads <= 4096:
        raise UsageError("SC207", f"--threads must be 1 to 4096; got {threads}", where=f"softclass {command}")
    before = {variable: os.environ.get(variable) for variable in THREAD_VARIABLES}
    try:
        if threads is not None:
            os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
        yield
    finally:
        for variable, value in before.items():
            if value is None:
                os.environ.pop(variable, None)
            else:
                os.environ[variable] = value


class _NoPandas:
    """Keeps pandas out: a command reads files, and pyarrow would import it to ask whether a list is a Series."""

    @classmethod
    def find_spec(cls, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Answer for pandas; pass everything else by. PyTorch asks for it too, without importing it."""
        return ModuleSpec(name, cast(Any, cls())) if name == "pandas" else None

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Refuse to import it, as if it were not installed."""
        raise ModuleNotFoundError("pandas is not used on the command line", name=spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: there is never a module."""


def _stop(number: int, frame: FrameType | None) -> None:
    # An exception, so that everything half-written is cleaned away on the way out.
    _signals.append(number)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(TERMINATED)


def _occupy_standard_streams() -> None:
    """Open /dev/null under the numbers 0, 1, 2 that are closed, so that no other file ever gets them."""
    for number, mode, name in ((0, "r", "stdin"), (1, "w", "stdout"), (2, "w", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - for the life of the process
