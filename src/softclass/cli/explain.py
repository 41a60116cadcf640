"""``softclass explain CODE``: what an error or note means."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from softclass.cli.layout import table_lines, wrapped
from softclass.cli.options import Common
from softclass.cli.output import Screen
from softclass.codes import CODES
from softclass.errors import UsageError, nearest, shown


def explain(
    code: Annotated[str | None, Parameter(help="such as SC321; without it, all codes")] = None,
    /,
    *,
    common: Common = Common(),  # noqa: B008 - frozen
    screen: Annotated[Screen, Parameter(parse=False)],
) -> None:
    """Explain an error or a note: what it means and what to do about it."""
    if code is None:
        screen.document({name: entry.title for name, entry in CODES.items()})
        for line in table_lines([[name, entry.title] for name, entry in CODES.items()]):
            screen.result(line)
        return
    name = code.upper().removeprefix("ERROR").removeprefix("NOTE").strip("[] ")
    name = f"SC{name}" if name.isdecimal() else name
    if name not in CODES:
        close = nearest(name, CODES)
        raise UsageError(
            "SC201",
            f'there is no code "{shown(code)}"',
            where="softclass explain",
            hint=f"Did you mean {', '.join(close)}?" if close else "softclass explain lists all codes",
        )
    entry = CODES[name]
    status = "a note: the work goes on" if name[2] == "8" else f"an error: exit status {name[2]}"
    screen.document(
        {"code": name, "title": entry.title, "text": entry.text, "exit": 0 if name[2] == "8" else int(name[2])}
    )
    screen.result(f"{screen.out.paint(name, 'label')}  {entry.title} ({status})")
    screen.result()
    for line in wrapped(entry.text, min(screen.out.width, 100)):
        screen.result(line)
