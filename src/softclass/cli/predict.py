"""``softclass predict``: class probabilities for new rows or images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

from cyclopts import Group, Parameter

from softclass.cli.layout import quoted_path
from softclass.cli.options import Common, Reading, flag, off, option
from softclass.cli.output import Screen
from softclass.errors import Notes, UsageError, shown
from softclass.model.run_files import MODEL_FILE

OUTPUT = Group("Output", sort_key=1)
ROWS = Group("Rows", sort_key=2)

FORMATS = {
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
}
WHERE = "softclass predict"


def predict(
    model: Annotated[str, Parameter(help="a model file or a run directory")],
    /,
    *data: Annotated[str, Parameter(help="tables, image files or folders; - for stdin")],
    output: Annotated[
        str | None, option("file to write [default: stdout]", "--output", "-o", group=OUTPUT, metavar="PATH")
    ] = None,
    format: Annotated[
        Literal["csv", "jsonl", "parquet", "arrow"] | None,
        option("default: by the suffix, csv on stdout", group=OUTPUT),
    ] = None,
    overwrite: Annotated[bool, flag("replace the output", group=OUTPUT)] = False,
    id: Annotated[
        tuple[str, ...], option("columns that name the rows [default: the model's]", group=OUTPUT, metavar="COL,...")
    ] = (),
    keep: Annotated[tuple[str, ...], option("further columns to copy", group=OUTPUT, metavar="none|all|COL,...")] = (),
    proba: Annotated[bool, off("leave the probabilities of the classes out", OUTPUT)] = True,
    top_k: Annotated[int | None, option("only the N best classes", group=OUTPUT, metavar="N")] = None,
    logits: Annotated[bool, flag("also the logits", group=OUTPUT)] = False,
    spreadsheet_safe: Annotated[
        bool, flag("write ' before text that a spreadsheet would run as a formula", group=OUTPUT)
    ] = False,
    rename: Annotated[
        tuple[str, ...], option("columns that bear other names here", group=ROWS, metavar="FILE_NAME=MODEL_NAME,...")
    ] = (),
    unseen: Annotated[Literal["other", "fail"], option("categories never seen in training", group=ROWS)] = "other",
    batch_size: Annotated[
        int | None, option("rows per block; never changes a value [default: 8192, images 256]", group=ROWS, metavar="N")
    ] = None,
    reading: Reading = Reading(),  # noqa: B008 - frozen
    common: Common = Common(),  # noqa: B008 - frozen
    screen: Annotated[Screen, Parameter(parse=False)],
) -> None:
    """Write one row of predictions per input row: the class, its probability and those of all classes."""
    source = given_data(data, WHERE)
    form = _format(output, format, common.json)
    if spreadsheet_safe and form != "csv":
        raise UsageError("SC202", f"--spreadsheet-safe does not apply to {form} (applies to csv)", where=WHERE)
    if overwrite and output is None:
        raise UsageError("SC202", "--overwrite has no effect without --output", where=WHERE)

    from softclass.model.model import load

    notes = Notes()
    rejects: list[tuple[int, str]] = []
    blocks = load(model, threads=common.threads, notes=notes).predict_batches(
        source,
        batch_rows=batch_size,
        proba=proba,
        top_k=top_k,
        logits=logits,
        ids=id or None,
        keep=keep[0] if keep in (("none",), ("all",)) else keep,
        rename=renames(rename, WHERE),
        unseen=unseen,
        read=reading.options(),
        notes=notes,
        rejects=rejects,
    )
    write_blocks(
        blocks, output, form, notes, screen, overwrite=overwrite, safe=spreadsheet_safe, inputs=inputs_of(model, data)
    )
    if rejects and output not in (None, "-"):
        from softclass.model.run import write_rejects

        path = Path(str(output)).with_suffix(".rejects.csv")
        write_rejects(path, rejects, overwrite=overwrite)
        screen.remark(f"the rows left out are in {quoted_path(path)}")
    for note in notes:
        screen.note(note)


def given_data(data: tuple[str, ...], where: str) -> Any:
    """Return the data as the model takes them: one path or several."""
    if not data:
        raise UsageError("SC207", "DATA is missing", where=where, hint=f"{where} MODEL DATA [OPTIONS]")
    if len(data) > 1 and "-" in data:
        raise UsageError("SC203", "standard input and files cannot be read together", where=where)
    return data[0] if len(data) == 1 else list(data)


def inputs_of(model: str, data: tuple[str, ...]) -> list[str]:
    """Return the files that an output must not replace: the model, that of a run directory too, and the data."""
    return [model, str(Path(model, MODEL_FILE)), *(name for name in data if name != "-")]


def renames(pairs: tuple[str, ...], where: str) -> dict[str, str]:
    """Read FILE_NAME=MODEL_NAME pairs."""
    found = {}
    for pair in pairs:
        name, equals, new = pair.partition("=")
        if not (name and equals and new):
            raise UsageError("SC207", f'--rename must be FILE_NAME=MODEL_NAME,...; got "{shown(pair)}"', where=where)
        if name in found:
            raise UsageError("SC203", f'--rename names "{shown(name)}" twice', where=where)
        found[name] = new
    return found


def write_blocks(
    blocks: Iterable[Any],
    output: str | None,
    form: Any,
    notes: Notes,
    screen: Screen,
    *,
    overwrite: bool,
    safe: bool = False,
    inputs: list[str],
) -> None:
    """Write blocks of predictions to a file, complete or not at all, or to stdout as they come."""
    from softclass.model.predictions import write_predictions

    counted = _counted(blocks, screen)
    if output is None or output == "-":
        stream = screen.binary()
        # Rows on the terminal are progress enough, and a bar among them would be in the way.
        shown_rows = blocks if screen.out.is_terminal else counted
        write_predictions(shown_rows, stream, form, spreadsheet_safe=safe, notes=notes, seekable=False)
        stream.flush()
        return

    from softclass.data.files import atomic_write

    def write(file: BinaryIO) -> None:
        write_predictions(counted, file, form, spreadsheet_safe=safe, notes=notes, seekable=True)

    atomic_write(output, write, overwrite=overwrite, inputs=inputs)


def format_of(path: str, where: str) -> str:
    """Return the format that the suffix of a file stands for."""
    suffix = Path(path).suffix.casefold()
    if suffix not in FORMATS:
        raise UsageError(
            "SC207",
            f'the suffix of an output must be one of {", ".join(FORMATS)}; got "{shown(path)}"',
            where=where,
            hint="Name the format: --format csv" if where == WHERE else "",
        )
    return FORMATS[suffix]


def _format(output: str | None, form: str | None, as_json: bool) -> str:
    if as_json:
        if form not in (None, "jsonl"):
            raise UsageError("SC203", f"--json and --format {form} contradict each other", where=WHERE)
        form = "jsonl"
    if output is None or output == "-":
        if form == "parquet":
            raise UsageError(
                "SC203", "Parquet cannot be written to stdout", where=WHERE, hint="-o FILE.parquet, or --format arrow"
            )
        return form or "csv"
    return form or format_of(output, WHERE)


def _counted(blocks: Iterable[Any], screen: Screen) -> Iterator[Any]:
    done = 0
    screen.progress("phase", {"name": "predicting", "done": 0, "total": None})
    for block in blocks:
        yield block
        done += block.num_rows
        screen.progress("phase", {"name": "predicting", "done": done, "total": None})
