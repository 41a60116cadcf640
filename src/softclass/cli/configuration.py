"""Options from the environment and from a TOML file: below the command line, above the defaults."""

from __future__ import annotations

import inspect
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from cyclopts import App, Argument, ArgumentCollection, Token

from softclass.cli.commands import COMMANDS, function_of
from softclass.cli.options import Given
from softclass.errors import UsageError, nearest, shown

PREFIX = "SOFTCLASS_"
# Read by those who start threads, not by a command.
OTHER_VARIABLES = ("SOFTCLASS_NUM_THREADS", "SOFTCLASS_CPU_TARGET")


@dataclass(frozen=True)
class Known:
    """An option or argument of a command, as its signature states it."""

    key: str
    default: Any
    positional: bool

    @property
    def option(self) -> str:
        """The name on the command line; what is on unless refused is refused with ``--no-<name>``."""
        if self.positional:
            return self.key.upper()
        return f"--{'no-' if self.default is True else ''}{self.key.replace('_', '-')}"

    @property
    def default_words(self) -> str:
        """The default in words."""
        if self.default is None or self.default == () or self.default == {}:
            return "none"
        return "off" if isinstance(self.default, bool) else str(self.default)


def known_options(command: str) -> dict[str, Known]:
    """Return everything a command takes: the signature of its function is the only list.

    Examples
    --------
    >>> known_options("explain")["strict"].option
    '--strict'
    """
    found = {}
    for name, parameter in inspect.signature(function_of(command)).parameters.items():
        if is_dataclass(parameter.default):
            options = fields(parameter.default)
            found.update({field.name: Known(field.name, field.default, False) for field in options})
        elif name != "screen":
            positional = parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL)
            found[name] = Known(name, parameter.default, positional)
    return found


def suggestion(name: str, known: Mapping[str, Known]) -> str:
    """Return "Did you mean ...?" with the default of the option, or nothing.

    `known` maps the spelling that the user would type to the option.
    """
    # Whoever abbreviates means what begins so; what differs by a slip of the keys comes first.
    close = nearest(name, known, 1) or [spelled for spelled in known if spelled.startswith(name)]
    return f"Did you mean {close[0]}? Its default is {known[close[0]].default_words}" if close else ""


class Configuration:
    """Fills in the options of one command that the command line leaves open.

    Parameters
    ----------
    command : str
        The command that runs.
    environment : mapping, optional
        The environment variables; those of the process by default.
    """

    def __init__(self, command: str, environment: Mapping[str, str] | None = None) -> None:
        self.command = command
        self.environment = os.environ if environment is None else environment

    def __call__(self, app: App, chain: tuple[str, ...], arguments: ArgumentCollection) -> None:
        """Add what the environment and the file say; cyclopts calls this between splitting and converting."""
        known = {argument.name.lstrip("-").replace("-", "_"): argument for argument in arguments}
        known |= {argument.field_info.name: argument for argument in arguments if not argument.name.startswith("-")}
        self._from_environment(known)
        if known["config"].tokens:
            self._from_file(str(known["config"].tokens[-1].value), known)
        if "resume" in known and known["resume"].tokens:
            # What was asked for then; the data too.
            run = known["resume"].tokens[-1].value
            path = f"{run}.checkpoints/config.toml"
            if not os.path.isfile(path):
                raise UsageError(
                    "SC207", "--resume must name a run that was interrupted; there are no checkpoints of it",
                    where=shown(run), hint="Train it without --resume",
                )  # fmt: skip
            self._from_file(path, known)

    def _from_environment(self, arguments: Mapping[str, Argument]) -> None:
        for variable in sorted(self.environment):
            if not variable.startswith(PREFIX) or variable in OTHER_VARIABLES:
                continue
            command = next((name for name in COMMANDS if variable.startswith(f"{PREFIX}{name.upper()}_")), None)
            known = {
                f"{PREFIX}{name.upper()}_{key.upper()}": option
                for name in (COMMANDS if command is None else [command])
                for key, option in known_options(name).items()
                if not option.positional
            }
            if variable not in known:
                raise UsageError(
                    "SC201",
                    "there is no option for this environment variable",
                    where=shown(variable),
                    hint=suggestion(variable, known) or "Unset it",
                )
            if command == self.command:
                _fill(arguments[known[variable].key], self.environment[variable], variable)

    def _from_file(self, path: str, arguments: Mapping[str, Argument]) -> None:
        for section, values in read_toml(path).items():
            if section == "softclass":
                continue
            if section not in COMMANDS or not isinstance(values, dict):
                close = nearest(section, COMMANDS, 1)
                raise UsageError(
                    "SC206",
                    f'there is no section "{shown(section)}"; sections bear the names of commands',
                    where=shown(path),
                    hint=f"Did you mean [{close[0]}]?" if close else f"Put the options below [{self.command}]",
                )
            known = {key: option for key, option in known_options(section).items() if key != "config"}
            for key, value in values.items():
                if key not in known:
                    raise UsageError(
                        "SC201",
                        f'unknown option "{shown(key)}" in section [{section}]',
                        where=shown(path),
                        hint=suggestion(key, known) or f"softclass {section} --help lists the options",
                    )
                if section == self.command:
                    _fill(arguments[key], value, shown(path))


def read_toml(path: str) -> dict[str, Any]:
    """Read a configuration file; SC206 if it is none."""
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise UsageError(
            "SC206",
            f"cannot be read: {error.strerror}",
            where=shown(path),
            hint="Name a TOML file, such as a run's config.toml",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(
            "SC206",
            f"is not TOML: {shown(error)}",
            where=shown(path),
            hint="A run's config.toml shows what one looks like",
        ) from error


def _fill(argument: Argument, value: Any, source: str) -> None:
    if argument.tokens:
        return
    if argument.parameter.count:
        argument.append(Token(keyword=argument.name, implicit_value=_times(value, argument, source), source=source))
        return
    several = argument.field_info.kind is argument.field_info.VAR_POSITIONAL and isinstance(value, list)
    for index, item in enumerate(value if several else [value]):
        argument.append(Token(keyword=argument.name, value=Given(item), index=index if several else 0, source=source))


def _times(value: Any, argument: Argument, source: str) -> int:
    if str(value) not in ("0", "1", "2"):
        raise UsageError("SC207", f"{argument.name} must be 0, 1 or 2; got {shown(value)}", where=source)
    return int(value)
