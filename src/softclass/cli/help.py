"""The help pages: plain text in the width of the terminal, made from the signatures of the commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from softclass.cli.commands import COMMANDS
from softclass.cli.layout import cells, wrapped
from softclass.cli.output import Stream

if TYPE_CHECKING:
    from cyclopts import Argument

WIDEST = 100
# Names longer than this push their explanation to the next line.
NAMES_WIDTH = 30


def overview(stream: Stream) -> str:
    """Return the page of ``softclass --help``."""
    heading = stream.paint
    lines = ["softclass: class probabilities you can trust, from a table or a folder of images", ""]
    lines += [f"{heading('Usage:', 'label')} softclass COMMAND DATA-OR-MODEL [OPTIONS]", ""]
    lines += [heading("Commands:", "label")]
    for name, summary in COMMANDS.items():
        lines += _entry(stream, name, summary, 12)
    lines += ["", heading("Options:", "label")]
    lines += _entry(stream, "--help", "this page; softclass COMMAND --help lists the options of a command", 24)
    lines += _entry(stream, "--version", "the version", 24)
    lines += _entry(stream, "--install-completion", "completion for bash, zsh, fish or PowerShell", 24)
    lines += ["", heading("Try:", "label"), "  softclass demo", "  softclass train penguins.csv --target species"]
    lines += ["  softclass predict runs/penguins-1 new.csv > predictions.csv"]
    return "\n".join(lines)


def command_help(command: str, stream: Stream) -> str:
    """Return the page of ``softclass COMMAND --help``."""
    from softclass.cli.usage import application

    app = application(command)
    arguments = [
        argument for argument in app.assemble_argument_collection() if argument.parse and "*" not in argument.name
    ]
    positional = [argument for argument in arguments if not argument.name.startswith("-")]
    usage = " ".join(["softclass", command, *(_placeholder(argument) for argument in positional), "[OPTIONS]"])
    document = (app.default_command.__doc__ or "").strip().split("\n\n")[0]
    lines = [*wrapped(" ".join(document.split()), min(stream.width, WIDEST)), ""]
    lines += [f"{stream.paint('Usage:', 'label')} {usage}"]
    groups: dict[str, list[Argument]] = {}
    order: dict[str, int] = {}
    for argument in arguments:
        groups_given: Any = argument.parameter.group or ()
        group = next(iter(groups_given), None)
        name = getattr(group, "name", "") or ("Arguments" if argument in positional else "Options")
        groups.setdefault(name, []).append(argument)
        order.setdefault(name, -1 if name == "Arguments" else getattr(group, "sort_key", None) or 0)
    for name in sorted(groups, key=lambda name: order[name]):
        lines += ["", stream.paint(f"{name}:", "label")]
        for argument in groups[name]:
            lines += _entry(stream, _names(argument), _explanation(argument), NAMES_WIDTH)
    return "\n".join(lines)


def _entry(stream: Stream, names: str, text: str, indent: int) -> list[str]:
    indent = min(indent, max(6, stream.width // 3))
    body = wrapped(text, max(20, min(stream.width, WIDEST) - indent - 2))
    painted = "  " + stream.paint(names, "name")
    if cells(names) + 2 > indent:
        return [painted, *(" " * (indent + 2) + line for line in body)]
    first = painted + " " * (indent - cells(names)) + body[0]
    return [first, *(" " * (indent + 2) + line for line in body[1:])]


def _names(argument: Argument) -> str:
    if not argument.name.startswith("-"):
        return _placeholder(argument)
    if argument.field_info.default is True:
        return f"--no-{argument.name.removeprefix('--')}"
    short = [name for name in argument.names if not name.startswith("--") and name != argument.name]
    names = ", ".join([*short, argument.name])
    return names if _is_flag(argument) else f"{names} {_metavar(argument)}"


def _placeholder(argument: Argument) -> str:
    name = argument.name.strip("-").upper()
    many = argument.field_info.kind is argument.field_info.VAR_POSITIONAL
    name = f"{name}..." if many else name
    return name if many or argument.field_info.default is argument.field_info.empty else f"[{name}]"


def _is_flag(argument: Argument) -> bool:
    return bool(argument.parameter.count) or argument.hint is bool


def _metavar(argument: Argument) -> str:
    return argument.parameter.metavar or "|".join(argument.get_choices() or ()) or "VALUE"


def _explanation(argument: Argument) -> str:
    text = argument.parameter.help or ""
    default = argument.field_info.default
    if default in (None, (), False, True, 0, argument.field_info.empty):
        return text
    return f"{text} [default: {default}]"
