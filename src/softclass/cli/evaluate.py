"""``softclass evaluate``: how good the probabilities are on labelled data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, BinaryIO

from cyclopts import Group, Parameter

from softclass.cli.evaluation_text import class_table, evaluation_lines
from softclass.cli.layout import jsonable, plain_figure, share, table_lines
from softclass.cli.options import Common, Reading, flag, option
from softclass.cli.output import LABEL_WIDTH, Screen
from softclass.cli.predict import format_of, given_data, inputs_of, write_blocks
from softclass.errors import Notes, UsageError, shown

MEASURE = Group("Measuring", sort_key=1)
OUTPUT = Group("Output", sort_key=2)
WHERE = "softclass evaluate"
CLASSES_LISTED = 40


def evaluate(
    model: Annotated[str, Parameter(help="a model file or a run directory")],
    /,
    *data: Annotated[str, Parameter(help="labelled tables, image folders; - for stdin")],
    target: Annotated[
        str | None, option("label column [default: the model's]", "--target", "-t", group=MEASURE, metavar="NAME")
    ] = None,
    by: Annotated[str | None, option("also for each value of a column", group=MEASURE, metavar="COL")] = None,
    bootstrap: Annotated[int, option("resamples behind the intervals; 0 for none", group=MEASURE, metavar="N")] = 1000,
    fail_under: Annotated[
        str | None, option("exit status 5 if a metric is worse", group=MEASURE, metavar="METRIC=X,...")
    ] = None,
    predictions: Annotated[
        str | None, option("also write the predictions with label and loss", group=OUTPUT, metavar="PATH")
    ] = None,
    output: Annotated[
        str | None, option("write the figures as JSON", "--output", "-o", group=OUTPUT, metavar="FILE.json")
    ] = None,
    overwrite: Annotated[bool, flag("replace the files", group=OUTPUT)] = False,
    reading: Reading = Reading(),  # noqa: B008 - frozen
    common: Common = Common(),  # noqa: B008 - frozen
    screen: Annotated[Screen, Parameter(parse=False)],
) -> None:
    """Measure a model on labelled data: accuracy, log loss, Brier score, calibration error, and each class."""
    source = given_data(data, WHERE)
    if overwrite and output is None and predictions is None:
        raise UsageError("SC202", "--overwrite has no effect without --output or --predictions", where=WHERE)
    if bootstrap < 0:
        raise UsageError("SC207", f"--bootstrap must be at least 0; got {bootstrap}", where=WHERE)
    form = None if predictions is None else format_of(predictions, WHERE)

    from softclass.model.limits import check_fail_under, check_metric_names, parse_limits
    from softclass.model.model import load

    check_metric_names(parse_limits(fail_under))
    notes = Notes()
    blocks: list[Any] | None = None if predictions is None else []
    screen.progress("phase", {"name": "evaluating", "done": 0, "total": None})
    evaluation = load(model, threads=common.threads, notes=notes).evaluate(
        source,
        target=target,
        by=by,
        bootstrap=bootstrap,
        read=reading.options(),
        notes=notes,
        keep_predictions=blocks,
    )
    facts = evaluation.to_dict()
    if predictions is not None and blocks is not None:
        write_blocks(blocks, predictions, form, notes, screen, overwrite=overwrite, inputs=inputs_of(model, data))
    if output is not None:
        _write_json(output, facts, overwrite, inputs_of(model, data))
    for note in notes:
        screen.note(note)
    screen.document({**jsonable(facts), "run": model})
    _print(facts, ", ".join(data), screen)
    check_fail_under(facts, fail_under)


def _print(facts: Mapping[str, Any], name: str, screen: Screen) -> None:
    screen.labelled("data", f"{shown(name)} · {facts['n']:,} rows · {len(facts['classes']):,} classes")
    short = evaluation_lines({**facts, "per_class": None}, screen.out.width - LABEL_WIDTH)
    for index, line in enumerate(short):
        screen.labelled("test" if index == 0 else "", line)
    screen.result()
    lines = class_table(facts)
    for line in lines[: CLASSES_LISTED + 1]:
        screen.result(line)
    if len(lines) > CLASSES_LISTED + 1:
        screen.result(f"... {len(lines) - CLASSES_LISTED - 1:,} more classes: --json lists all")
    if facts.get("by"):
        screen.result()
        for line in _by_table(facts["by"]):
            screen.result(line)


def _by_table(groups: Mapping[str, Mapping[str, Any]]) -> list[str]:
    rows = [["group", "rows", "accuracy", "log loss", "Brier", "ECE"]]
    for name, figures in groups.items():
        rows.append(
            [
                (shown(name, 40) or '""') + (" (few)" if figures.get("few") else ""),
                f"{figures['n']:,}",
                share(figures.get("accuracy")),
                plain_figure(figures.get("log_loss")),
                plain_figure(figures.get("brier")),
                share(figures.get("ece")),
            ]
        )
    return table_lines(rows, right=range(1, 6))


def _write_json(path: str, facts: Mapping[str, Any], overwrite: bool, inputs: list[str]) -> None:
    from softclass.data.files import atomic_write

    text = json.dumps(jsonable(facts), ensure_ascii=False, allow_nan=False, indent=1) + "\n"

    def write(file: BinaryIO) -> None:
        file.write(text.encode())

    atomic_write(path, write, overwrite=overwrite, inputs=inputs)
