"""The options that every command has, and how the text of an option becomes a value."""

from __future__ import annotations

import csv
import types
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from cyclopts import Group, Parameter, Token

from softclass.errors import nearest, shown

TABLES = Group("Tables", sort_key=3)
COMMON = Group("Every command", sort_key=90)


def option(help: str, *names: str, group: Group | None = None, metavar: str | None = None) -> Parameter:
    """Describe an option: its help, its names if not made from the parameter, its group, what to call its value."""
    return Parameter(name=names or None, help=help, group=group, metavar=metavar, n_tokens=1)


def flag(help: str, *names: str, group: Group | None = None) -> Parameter:
    """Describe an option that takes no value."""
    return Parameter(name=names or None, help=help, group=group)


def off(help: str, group: Group | None = None) -> Parameter:
    """Describe an option that is on unless ``--no-<name>`` is given."""
    return Parameter(help=help, group=group, negative=None)


@Parameter(name="*")
@dataclass(frozen=True)
class Common:
    """The options of every command."""

    quiet: Annotated[bool, flag("only errors on stderr", "--quiet", "-q", group=COMMON)] = False
    verbose: Annotated[
        int,
        Parameter(
            name=("--verbose", "-v"), count=True, help="say more: times, all columns; -vv every step", group=COMMON
        ),
    ] = 0
    debug: Annotated[bool, flag("show the traceback of a failure", group=COMMON)] = False
    progress: Annotated[
        Literal["auto", "bar", "lines", "json", "none"],
        option("on stderr; auto = a bar on a terminal, else lines", group=COMMON),
    ] = "auto"
    color: Annotated[Literal["auto", "always", "never"], option("NO_COLOR and FORCE_COLOR count too", group=COMMON)] = (
        "auto"
    )
    json: Annotated[bool, flag("one JSON document on stdout instead of text", group=COMMON)] = False
    config: Annotated[
        str | None, option("options from a file", "--config", "-c", group=COMMON, metavar="FILE.toml")
    ] = None
    threads: Annotated[int | None, option("threads of every library", group=COMMON, metavar="N")] = None
    strict: Annotated[bool, flag("any note makes the exit status 5", group=COMMON)] = False


@Parameter(name="*")
@dataclass(frozen=True)
class Reading:
    """How the rows of `predict` and `evaluate` are read; the model's own dialect breaks ties."""

    delimiter: Annotated[str | None, option("between fields; tab = a tab [default: found out]", group=TABLES)] = None
    decimal: Annotated[str | None, option("decimal mark [default: found out]", group=TABLES)] = None
    encoding: Annotated[str | None, option("of the text [default: UTF-8 or its mark]", group=TABLES)] = None
    header: Annotated[bool, off("the first line is a row, not names", group=TABLES)] = True
    input_format: Annotated[Literal["csv", "arrow", "parquet"] | None, option("default: by content", group=TABLES)] = (
        None
    )
    bad_rows: Annotated[Literal["fail", "skip"], option("malformed rows", group=TABLES)] = "fail"

    def options(self) -> Any:
        """Return what the data room takes."""
        from softclass.data.table import ReadOptions

        return ReadOptions(
            delimiter=self.delimiter,
            decimal=self.decimal,
            encoding=self.encoding,
            header=self.header,
            input_format=self.input_format,
            bad_rows=self.bad_rows,
        )


def convert(kind: Any, tokens: Sequence[Token]) -> Any:
    """Turn the text of an option into a value of its type; lists are separated by commas.

    Values from a configuration file come as they are and are only checked.
    """
    kinds = _alternatives(kind)
    if tuple[str, ...] in kinds:
        return tuple(name for token in tokens for name in _names(_given(token)))
    given = _given(tokens[-1])
    for one in kinds:
        try:
            return _CONVERTERS[get_origin(one) or one](one, given)
        except (TypeError, ValueError):
            continue
    raise ValueError(f"must be {' or '.join(_words(one) for one in kinds)}; got {_quoted(given)}{_guess(kinds, given)}")


def _alternatives(kind: Any) -> list[Any]:
    if get_origin(kind) in (Union, types.UnionType):
        return [one for part in get_args(kind) if part is not type(None) for one in _alternatives(part)]
    return [kind]


class Given(str):
    """The text of a value that came from a configuration file, with the value itself."""

    value: Any

    def __new__(cls, value: Any) -> Given:
        """Keep the value beside its text."""
        text = super().__new__(cls, value)
        text.value = value
        return text


def _given(token: Token) -> Any:
    return token.value.value if isinstance(token.value, Given) else token.value


def _names(given: Any) -> list[str]:
    if isinstance(given, list):
        return [_text(str, item) for item in given]
    # Quotes as in CSV, for a name that has a comma inside: --drop '"a,b",c'.
    return [name for name in next(csv.reader([_text(str, given)], skipinitialspace=True), []) if name]


def _text(kind: Any, given: Any) -> str:
    if isinstance(given, (bool, list, dict)):
        raise TypeError
    return str(given)


def _whole(kind: Any, given: Any) -> int:
    if isinstance(given, str):
        return int(given, 10)
    if isinstance(given, bool) or not isinstance(given, int):
        raise TypeError
    return given


def _number(kind: Any, given: Any) -> float:
    if isinstance(given, bool):
        raise TypeError
    value = float(given)
    if value != value:
        raise ValueError
    return value


def _flag(kind: Any, given: Any) -> bool:
    return bool({"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[str(given).casefold()])


def _choice(kind: Any, given: Any) -> Any:
    for choice in get_args(kind):
        if str(choice) == str(given):
            return choice
    raise ValueError


_CONVERTERS: dict[Any, Any] = {
    str: _text,
    int: _whole,
    float: _number,
    bool: _flag,
    Literal: _choice,
}


def _words(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return " or ".join(f'"{choice}"' for choice in get_args(kind))
    return {
        str: "text",
        int: "a whole number",
        float: "a number",
        bool: "true or false",
    }[get_origin(kind) or kind]


def _quoted(given: Any) -> str:
    return f'"{shown(given)}"' if isinstance(given, str) else shown(given)


def _guess(kinds: list[Any], given: Any) -> str:
    choices = [str(choice) for one in kinds if get_origin(one) is Literal for choice in get_args(one)]
    close = nearest(str(given), choices)
    return f'. Did you mean "{close[0]}"?' if close else ""
