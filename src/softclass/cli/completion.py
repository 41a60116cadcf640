"""``softclass --install-completion``: lets the shell complete commands and options."""

from __future__ import annotations

from collections.abc import Sequence

from cyclopts import App, Parameter
from cyclopts.completion.detect import ShellDetectionError

from softclass.cli.commands import COMMANDS
from softclass.cli.options import convert
from softclass.cli.output import Screen
from softclass.errors import UsageError, shown

SHELLS = ("bash", "zsh", "fish", "powershell")


def install(arguments: Sequence[str], screen: Screen) -> int:
    """Write the completion script of a shell, by default the one that runs, and say where it lies."""
    shell = arguments[0] if arguments else None
    if shell is not None and shell not in SHELLS:
        raise UsageError("SC207", f'the shell must be one of {", ".join(SHELLS)}; got "{shown(shell)}"')
    app = App(name="softclass", default_parameter=Parameter(converter=convert, negative=()))
    for name, summary in COMMANDS.items():
        app.command(f"softclass.cli.{name}:{name}", name=name, help=summary)
    try:
        path = app.install_completion(shell=shell)  # type: ignore[arg-type]
    except ShellDetectionError as error:
        hint = f"Name it: softclass --install-completion {SHELLS[0]}"
        raise UsageError("SC207", "the shell that runs cannot be told", hint=hint) from error
    screen.document({"completion": str(path)})
    screen.result(f"completion written to {path}; open a new shell to use it")
    return 0
