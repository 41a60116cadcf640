"""Splits a command line into a call of the command's function; what cannot be understood becomes a UsageError."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cyclopts import (
    App,
    CoercionError,
    CombinedShortOptionError,
    CycloptsError,
    MissingArgumentError,
    Parameter,
    RepeatArgumentError,
    UnknownOptionError,
    UnusedCliTokensError,
)

from softclass.cli.commands import COMMANDS, function_of
from softclass.cli.configuration import Configuration, known_options, suggestion
from softclass.cli.options import Common, convert
from softclass.errors import UsageError, shown

# Stands for "-" (standard input or output), which cyclopts takes for an option. No argument can hold a NUL.
DASH = "\x00"
THREADS = "SOFTCLASS_NUM_THREADS"


@dataclass(frozen=True)
class Call:
    """A command line that was understood."""

    function: Callable[..., int | None]
    positional: tuple[Any, ...]
    options: Mapping[str, Any]
    common: Common


def application(command: str) -> App:
    """Return the parser of one command, made from the signature of its function."""
    return App(
        name=f"softclass {command}",
        default_command=function_of(command),
        default_parameter=Parameter(converter=convert, negative=()),
        config=Configuration(command),
        help_flags=(),
        version_flags=(),
    )


def parse(command: str, arguments: Sequence[str]) -> Call:
    """Split the arguments of a command; SC201, SC202, SC203 or SC207 if they make no sense."""
    tokens = [DASH if argument == "-" else argument for argument in arguments]
    try:
        function, bound, _ = application(command).parse_args(tokens, print_error=False, exit_on_error=False)
    except CycloptsError as error:
        raise _usage_error(command, error) from None
    values = {name: _undashed(value) for name, value in bound.kwargs.items()}
    common = values.get("common", Common())
    if common.threads is None:
        common = replace(common, threads=_threads_wished())
    positional = tuple(_undashed(value) for value in bound.args)
    return Call(function, positional, values | {"common": common}, common)


def _threads_wished() -> int | None:
    """Return the number of threads that the environment asks for."""
    wish = os.environ.get(THREADS, "").strip()
    if wish and not (wish.isascii() and wish.isdigit()):
        raise UsageError("SC207", f'must be a whole number; got "{shown(wish)}"', where=THREADS)
    return int(wish) if wish else None


def _undashed(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_undashed(item) for item in value)
    return "-" if value == DASH else value


def _usage_error(command: str, error: CycloptsError) -> UsageError:
    where = f"softclass {command}"
    help = f"softclass {command} --help lists the options"
    if isinstance(error, UnknownOptionError):
        return _unknown_option(command, error.token.keyword or error.token.value)
    if isinstance(error, CoercionError) and error.argument is not None:
        token = error.token or error.argument.tokens[0]
        if token.source not in ("", "cli"):
            where = token.source
        return UsageError("SC207", f"{_name(error)} {error.msg}", where=where)
    if isinstance(error, MissingArgumentError):
        return UsageError("SC207", f"{_name(error)} is missing or lacks its value", where=where, hint=help)
    if isinstance(error, RepeatArgumentError):
        return UsageError("SC203", f"{error.token.keyword} is given twice", where=where, hint="Keep one of them")
    if isinstance(error, CombinedShortOptionError):
        return UsageError("SC201", shown(str(error)), where=where, hint="Write short options apart")
    if isinstance(error, UnusedCliTokensError):
        rest = " ".join(str(token) for token in error.unused_tokens or ())
        return UsageError("SC201", f'nothing more is expected; got "{shown(rest)}"', where=where, hint=help)
    error.verbose = False
    return UsageError("SC201", shown(str(error)).rstrip("."), where=where, hint=help)


def _name(error: CoercionError | MissingArgumentError) -> str:
    argument = error.argument
    return argument.name if argument is not None else "an argument"


def _unknown_option(command: str, name: str) -> UsageError:
    where = f"softclass {command}"
    elsewhere = [other for other in COMMANDS if name in _spellings(other)]
    if elsewhere:
        return UsageError(
            "SC202", f"{shown(name)} does not apply to {command} (applies to {', '.join(elsewhere)})", where=where
        )
    known = {option.option: option for option in known_options(command).values() if not option.positional}
    hint = suggestion(name, known) or f"softclass {command} --help lists the options"
    return UsageError("SC201", f"unknown option {shown(name)}", where=where, hint=hint)


def _spellings(command: str) -> list[str]:
    return [option.option for option in known_options(command).values() if not option.positional]
