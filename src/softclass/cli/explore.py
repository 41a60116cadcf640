"""``softclass explore``: the page, on the loopback or as one file."""

from __future__ import annotations

import contextlib
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Group, Parameter

from softclass.cli.layout import quoted_path, size
from softclass.cli.options import Common, flag, off, option
from softclass.cli.output import Screen
from softclass.errors import Notes, UsageError
from softclass.model.run_files import MODEL_FILE

if TYPE_CHECKING:
    from softclass.server.explore import Explored

PAGE = Group("Page", sort_key=1)
FILE = Group("One file", sort_key=2)
WHERE = "softclass explore"
TOKEN_BYTES = 32


def explore(
    model: Annotated[str | None, Parameter(help="a model file or a run directory [default: a demo]")] = None,
    /,
    *,
    data: Annotated[
        str | None, option("labelled rows or images to show [default: the test of the run]", group=PAGE, metavar="PATH")
    ] = None,
    lang: Annotated[
        Literal["auto", "en", "zh"], option("language of the page; auto = the browser's", group=PAGE)
    ] = "auto",
    port: Annotated[int, option("of the loopback; 0 = one that is free", group=PAGE, metavar="N")] = 0,
    browser: Annotated[bool, off("only print the address", group=PAGE)] = True,
    export: Annotated[
        str | None, option("write the page to a file that needs no server", group=FILE, metavar="PAGE.html")
    ] = None,
    examples: Annotated[bool, off("no rows or images of the data in the file", group=FILE)] = True,
    overwrite: Annotated[bool, flag("replace the file", group=FILE)] = False,
    common: Common = Common(),  # noqa: B008 - frozen
    screen: Annotated[Screen, Parameter(parse=False)],
) -> None:
    """Show a page to play with: softmax, losses, slow learning, a network; and your own model with its mistakes."""
    _check(model, data, export, port=port, browser=browser, examples=examples, overwrite=overwrite)
    explored = None if model is None else _explored(model, data, common.threads, screen)
    language = None if lang == "auto" else lang
    if export is None:
        _serve(explored, language, port, browser, screen)
    else:
        inputs = [name for name in (model, data) if name is not None]
        inputs += [] if model is None else [str(Path(model, MODEL_FILE))]
        _write(explored, language, export, inputs, screen, examples=examples, overwrite=overwrite)


def _check(
    model: str | None,
    data: str | None,
    export: str | None,
    *,
    port: int,
    browser: bool,
    examples: bool,
    overwrite: bool,
) -> None:
    """Refuse options that would have no effect."""
    if data is not None and model is None:
        raise UsageError(
            "SC202", "--data has no effect without MODEL", where=WHERE, hint=f"{WHERE} MODEL --data {data}"
        )
    for given, name in ((not examples, "--no-examples"), (overwrite, "--overwrite")):
        if given and export is None:
            raise UsageError("SC202", f"{name} has no effect without --export", where=WHERE)
    for given, name in ((port != 0, "--port"), (not browser, "--no-browser")):
        if given and export is not None:
            raise UsageError("SC202", f"{name} has no effect with --export, which starts no server", where=WHERE)


def _explored(model: str, data: str | None, threads: int | None, screen: Screen) -> Explored:
    """Open the model and the rows to show with it."""
    from softclass.model.model import load
    from softclass.server.evaluations import recorded, shown_data, shown_record
    from softclass.server.explore import Explored

    notes = Notes()
    opened = load(model, threads=threads, notes=notes)
    record = recorded(model)
    rows = []
    if data is not None:
        screen.progress("phase", {"name": "evaluating", "done": 0, "total": None})
        rows.append(shown_data(opened, data, notes, record))
    elif record is not None:
        rows.append(shown_record(opened, record, notes))
    for note in notes:
        screen.note(note)
    if data is None and record is not None and opened.manifest.task == "images":
        screen.remark(f"the tested images of the run are shown without pictures; to see them: {_with_data(model)}")
    if not rows:
        what = "the figures of its test" if opened.evaluation is not None else "no test"
        needs = "Mistakes, Reliability and Sets need labelled rows"
        screen.remark(f"the model holds {what}, but no rows; {needs}: {_with_data(model)}")
    path = Path(model).absolute()
    name = path.name if path.is_dir() else path.parent.name if path.name == MODEL_FILE else path.stem
    return Explored(opened, name or path.stem, rows, threads=threads)


def _with_data(model: str) -> str:
    return f"{WHERE} {quoted_path(Path(model))} --data FILE"


def _serve(explored: Explored | None, language: str | None, port: int, browser: bool, screen: Screen) -> None:
    """Serve the page until somebody stops it."""
    from softclass.cli.failure import traceback_text
    from softclass.server.app import HOST, OPEN, create_app, limited, listen, make_server
    from softclass.server.page import served_page

    def tell(error: Exception) -> None:
        screen.err.write(traceback_text(error))

    page = served_page("demo" if explored is None else "server", language)
    token = None if explored is None else secrets.token_urlsafe(TOKEN_BYTES)
    # An interrupt is how this ends.
    with listen(port) as listening, contextlib.suppress(KeyboardInterrupt):
        number = listening.getsockname()[1]
        address = f"http://{HOST}:{number}/explore"
        whole = address if token is None else f"{address}#token={token}"
        screen.document({"address": whole})
        screen.labelled("page", whole)
        screen.labelled("stop", "Ctrl-C")
        key = None if token is None or not browser else secrets.token_urlsafe(TOKEN_BYTES)
        app = create_app(page, explored, token, tell, key=key)
        if browser:
            import webbrowser

            webbrowser.open(address if key is None else f"http://{HOST}:{number}{OPEN}{key}")
        make_server(limited(app, number)).run(sockets=[listening])


def _write(
    explored: Explored | None, language: str | None, export: str, inputs: list[str], screen: Screen,
    *, examples: bool, overwrite: bool,
) -> None:  # fmt: skip
    """Write the page with all it shows into one file, and say what of the data is in it."""
    from softclass.data.files import atomic_write
    from softclass.server.explore import contents_of, demo_bundle
    from softclass.server.page import exported_page

    bundle: dict[str, Any] = demo_bundle(examples=examples) if explored is None else explored.bundle(examples=examples)
    page = exported_page(bundle, language).encode("utf-8", "replace")
    path = atomic_write(export, lambda file: file.write(page), overwrite=overwrite, inputs=inputs)
    screen.document({"export": str(path), "bytes": len(page), "holds": contents_of(bundle)})
    screen.labelled("wrote", f"{quoted_path(path)}   {size(len(page))}")
    screen.labelled("holds", contents_of(bundle))
