"""``softclass report``: one offline HTML page about a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from softclass.cli.layout import quoted_path, size
from softclass.cli.options import Common, flag, off, option
from softclass.cli.output import Screen
from softclass.errors import Notes, UsageError

WHERE = "softclass report"


def report(
    model: Annotated[str, Parameter(help="a model file or a run directory")],
    /,
    *,
    data: Annotated[
        str | None, option("labelled data to report on [default: the test of the training]", metavar="PATH")
    ] = None,
    lang: Annotated[Literal["en", "zh"], option("language of the page")] = "en",
    open: Annotated[bool, flag("show it in the browser")] = False,
    examples: Annotated[bool, off("show no rows or images of the data")] = True,
    output: Annotated[
        str | None, option("file to write [default: report.html of the run]", "--output", "-o", metavar="FILE.html")
    ] = None,
    overwrite: Annotated[bool, flag("replace the file named with --output")] = False,
    common: Common = Common(),  # noqa: B008 - frozen
    screen: Annotated[Screen, Parameter(parse=False)],
) -> None:
    """Write one HTML page about a model that needs no network: figures, calibration, mistakes, weights."""
    if overwrite and output is None:
        raise UsageError("SC202", "--overwrite has no effect without --output", where=WHERE)
    from softclass.model.model import load

    notes = Notes()
    loaded = load(model, threads=common.threads, notes=notes)
    target = Path(output) if output is not None else _of_run(model)
    screen.progress("phase", {"name": "writing", "done": 0, "total": None})
    path = loaded.report(
        target, data=data, lang=lang, examples=examples, overwrite=overwrite or output is None, notes=notes
    )
    for note in notes:
        screen.note(note)
    screen.document({"report": str(path)})
    screen.labelled("wrote", f"{quoted_path(path)}   {size(path.stat().st_size)}")
    if open:
        import webbrowser

        webbrowser.open(path.absolute().as_uri())


def _of_run(model: str) -> Path:
    path = Path(model)
    folder = path if path.is_dir() else path.parent
    if path.is_dir() or (folder / "metrics.json").is_file():
        return folder / "report.html"
    raise UsageError(
        "SC207",
        "a model outside its run directory needs --output",
        where=WHERE,
        hint=f"{WHERE} {quoted_path(path)} -o report.html",
    )
