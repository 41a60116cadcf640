"""``softclass train``: learn from a table or a folder of images."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Group, Parameter

from softclass.cli.configuration import known_options
from softclass.cli.layout import quoted_path
from softclass.cli.options import TABLES, Common, flag, off, option
from softclass.cli.output import Screen
from softclass.errors import PathError, UsageError

RUN = Group("The run", sort_key=1)
PARTS = Group("Parts", sort_key=2)
IMAGES = Group("Images", sort_key=4)
FITTING = Group("Fitting and calibration", sort_key=5)
NETWORKS = Group("Networks", sort_key=6)


def train(
    *data: Annotated[str, Parameter(help="a table; a folder, archive or list of images; IDX or NPZ files; -: stdin")],
    target: Annotated[
        str | None,
        option(
            "label column [default: the one called label, class, species, ...]",
            "--target",
            "-t",
            group=RUN,
            metavar="NAME",
        ),
    ] = None,
    model: Annotated[
        Literal["auto", "softmax", "mlp", "cnn"],
        option("the classifier; auto = softmax, then a network if that is better", group=RUN),
    ] = "auto",
    output: Annotated[
        str | None, option("run directory [default: runs/<name>-<n>]", "--output", "-o", group=RUN, metavar="DIR")
    ] = None,
    overwrite: Annotated[bool, flag("replace the run directory if softclass wrote it", group=RUN)] = False,
    report: Annotated[bool, off("do not write report.html", RUN)] = True,
    predictions: Annotated[bool, off("do not write predictions-test.parquet", RUN)] = True,
    seed: Annotated[int, option("decides the split and every other draw [default: 0]", group=RUN, metavar="N")] = 0,
    rows: Annotated[int, option("a seeded sample of N rows first [default: all]", group=RUN, metavar="N")] = 0,
    test: Annotated[
        float | None,
        option("share of the rows for the test [default: 0.2, or the data's own]", group=PARTS, metavar="F"),
    ] = None,
    test_data: Annotated[
        str | None, option("a file or folder for the test instead", group=PARTS, metavar="PATH")
    ] = None,
    calibration: Annotated[
        float | None, option("share of the other rows for calibration [default: 0.15]", group=PARTS, metavar="F")
    ] = None,
    cv: Annotated[
        int, option("estimate all metrics, and judge C, by K folds [default: off]", group=PARTS, metavar="K")
    ] = 0,
    dry_run: Annotated[bool, flag("stop after the plan, write nothing", group=RUN)] = False,
    stratify: Annotated[bool, off("parts need not hold the classes in equal shares", PARTS)] = True,
    group: Annotated[str | None, option("rows with equal cells stay in one part", group=PARTS, metavar="COL")] = None,
    time: Annotated[str | None, option("the latest rows become the test part", group=PARTS, metavar="COL")] = None,
    split_column: Annotated[
        str | None, option("cells fit, calibration, test name the part of each row", group=PARTS, metavar="COL")
    ] = None,
    number: Annotated[tuple[str, ...], option("columns to take as numbers", group=TABLES, metavar="COL,...")] = (),
    category: Annotated[tuple[str, ...], option("columns to take as categories", group=TABLES, metavar="COL,...")] = (),
    boolean: Annotated[tuple[str, ...], option("columns to take as yes or no", group=TABLES, metavar="COL,...")] = (),
    datetime: Annotated[tuple[str, ...], option("columns to take as dates", group=TABLES, metavar="COL,...")] = (),
    drop: Annotated[tuple[str, ...], option("columns to leave out", group=TABLES, metavar="COL,...")] = (),
    id: Annotated[
        tuple[str, ...], option("columns to leave out but copy to predictions", group=TABLES, metavar="COL,...")
    ] = (),
    delimiter: Annotated[
        str | None, option("between fields; tab = a tab [default: found out]", group=TABLES, metavar="CHAR")
    ] = None,
    decimal: Annotated[str | None, option("decimal mark [default: found out]", group=TABLES, metavar="CHAR")] = None,
    thousands: Annotated[
        str | None, option("mark between thousands [default: none]", group=TABLES, metavar="CHAR")
    ] = None,
    encoding: Annotated[
        str | None, option("of the text [default: UTF-8 or its mark]", group=TABLES, metavar="NAME")
    ] = None,
    header: Annotated[bool, off("the first line is a row, not names", TABLES)] = True,
    date_format: Annotated[str | None, option("such as %d/%m/%Y", group=TABLES, metavar="FORMAT")] = None,
    input_format: Annotated[
        str | None, option("csv, arrow or parquet [default: by content]", group=TABLES, metavar="FORMAT")
    ] = None,
    na_values: Annotated[
        tuple[str, ...], option("further words for missing", group=TABLES, metavar="TOKEN|COL=TOKEN,...")
    ] = (),
    max_categories: Annotated[int, option("categories kept in a column", group=TABLES, metavar="N")] = 1000,
    bad_rows: Annotated[
        Literal["fail", "skip"], option("malformed rows; skip writes them to rejects.csv", group=TABLES)
    ] = "fail",
    drop_missing_target: Annotated[bool, flag("leave out rows without a label", group=TABLES)] = False,
    force_classes: Annotated[bool, flag("take a target that looks continuous", group=TABLES)] = False,
    image_size: Annotated[
        str | None, option("input of the model [default: median, at most 160]", group=IMAGES, metavar="HxW")
    ] = None,
    channels: Annotated[
        int | None, option("1 grey, 3 colour [default: 1 if all are grey]", group=IMAGES, metavar="1|3")
    ] = None,
    resize: Annotated[
        Literal["crop", "pad", "stretch"] | None,
        option("images of other proportions [default: crop]", group=IMAGES, metavar="crop|pad|stretch"),
    ] = None,
    follow_links: Annotated[bool, flag("follow links that lead out of the folder", group=IMAGES)] = False,
    class_weight: Annotated[
        str | None, option("balanced, or a JSON file of label: weight", group=FITTING, metavar="balanced|FILE.json")
    ] = None,
    sample_weight: Annotated[
        str | None, option("column with the weight of each row", group=FITTING, metavar="COL")
    ] = None,
    C: Annotated[
        float | Literal["auto"],
        option("inverse strength of the penalty; auto = best of 1e-3 ... 1e3", "--C", group=FITTING, metavar="X|auto"),
    ] = "auto",
    l1_ratio: Annotated[
        float,
        option("share of absolute values (l1) in the penalty", group=FITTING, metavar="X"),
    ] = 0.0,
    max_iter: Annotated[int, option("most iterations", group=FITTING, metavar="N")] = 1000,
    tol: Annotated[float, option("suboptimality at which to stop", group=FITTING, metavar="X")] = 1e-4,
    hidden: Annotated[
        str | None, option("hidden layers of a table [default: by rows]", group=NETWORKS, metavar="N,N,...")
    ] = None,
    architecture: Annotated[
        str,
        option("classic, two, two-hidden, fast-digits, deep, deep5; tables: realmlp", group=NETWORKS, metavar="NAME"),
    ] = "auto",
    augment: Annotated[
        str | None, option("flip,shift of images or none [default: tried out]", group=NETWORKS, metavar="NAME,...")
    ] = None,
    validation: Annotated[float, option("share of the fit rows that judges epochs", group=NETWORKS, metavar="F")] = 0.1,
    epochs: Annotated[
        int | None, option("passes over the rows [default: by rows]", group=NETWORKS, metavar="N")
    ] = None,
    batch_size: Annotated[int | None, option("rows a step [default: by rows]", group=NETWORKS, metavar="N")] = None,
    lr: Annotated[
        float | None, option("highest learning rate [default: by network]", group=NETWORKS, metavar="X")
    ] = None,
    weight_decay: Annotated[
        float | None, option("decay of the weights [default: by network]", group=NETWORKS, metavar="X")
    ] = None,
    patience: Annotated[
        int | None, option("epochs without a better one [default: a fifth]", group=NETWORKS, metavar="N")
    ] = None,
    budget: Annotated[
        str | None,
        option("plan for this time [default with auto: 30s, 60s]", group=NETWORKS, metavar="60s|10m"),
    ] = None,
    device: Annotated[str, option("auto = cpu, or cuda, cuda:N, mps", group=NETWORKS, metavar="NAME")] = "auto",
    backbone: Annotated[
        str | None, option("keep this image model's layers, fit the last", group=NETWORKS, metavar="MODEL")
    ] = None,
    resume: Annotated[str | None, option("go on with an interrupted run", group=NETWORKS, metavar="RUN")] = None,
    keep_checkpoints: Annotated[bool, flag("leave them beside the run directory", group=NETWORKS)] = False,
    path: Annotated[bool, flag("chart other strengths of the penalty in the report", group=FITTING)] = False,
    odds_ratios: Annotated[
        bool, flag("table of odds ratios with intervals in the report, from a fit without penalty", group=FITTING)
    ] = False,
    calibrate: Annotated[
        Literal["auto", "none", "temperature"], option("auto keeps what lowers held-out log loss", group=FITTING)
    ] = "auto",
    time_limit: Annotated[
        str | None, option("stop fitting in time, keep the best", group=FITTING, metavar="60s|10m|2h")
    ] = None,
    memory_limit: Annotated[
        str | None,
        option("beyond it data stream from disk [default: half of the memory]", group=FITTING, metavar="SIZE"),
    ] = None,
    fail_under: Annotated[
        str | None, option("exit status 5 if a metric is worse", group=FITTING, metavar="METRIC=X,...")
    ] = None,
    common: Common = Common(),  # noqa: B008 - frozen
    screen: Annotated[Screen, Parameter(parse=False)],
) -> None:
    """Learn class probabilities from a table or a folder of images and write a run directory with the model."""
    options = {name: value for name, value in locals().items() if name not in ("data", "target", "common", "screen")}
    run_training(data, target, options, common, screen)


def run_training(
    data: tuple[str, ...], target: str | None, options: dict[str, Any], common: Common, screen: Screen
) -> None:
    """Train and say what happens; the options are those of `softclass.train`."""
    if not data:
        raise UsageError(
            "SC207", "DATA is missing", where="softclass train", hint="softclass train FILE-OR-FOLDER [OPTIONS]"
        )
    _check(options)
    if options["fail_under"] is not None:
        from softclass.model.limits import check_metric_names, parse_limits

        check_metric_names(parse_limits(options["fail_under"]))
    if options["resume"] is not None and options["output"] is None:
        options["output"] = options["resume"]
    if options["output"] is None and not options["dry_run"]:
        options["output"] = next_run(data[0])

    from softclass.cli.summary import TrainingSummary

    summary = TrainingSummary(screen)
    source = data[0] if len(data) == 1 else list(data)
    arguments = {name: value for name, value in options.items() if name != "dry_run"}
    arguments |= {"strict": common.strict, "threads": common.threads, "progress": summary}
    if options["dry_run"]:
        from softclass.model.train import plan

        plan(source, target, **arguments)
        summary.finish_plan()
        return
    from softclass.model.train import train as learn

    with folder_of(Path(options["output"])):
        learn(source, target, **arguments)
    summary.finish(options["output"])


@contextmanager
def folder_of(output: Path) -> Iterator[None]:
    """Make the folders that a run goes into before hours of work; those made here go again if nothing came in."""
    made: list[Path] = []
    try:
        for folder in reversed([folder for folder in output.absolute().parents if not folder.is_dir()]):
            folder.mkdir()
            made.append(folder)
    except OSError as error:
        for folder in reversed(made):
            folder.rmdir()
        from softclass.data.writing import what_to_do

        where = quoted_path(output.parent)
        hint = what_to_do(error.errno)
        raise PathError("SC604", f"cannot be made: {error.strerror}", where=where, hint=hint) from error
    try:
        yield
    finally:
        for folder in reversed(made):
            with suppress(OSError):
                folder.rmdir()


def next_run(data: str, root: str = "runs") -> str:
    """Return the first free name of a run: the name of the data and a number.

    Examples
    --------
    >>> next_run("/data/penguins.csv.gz", root="no-such-folder")
    'no-such-folder/penguins-1'
    """
    stem = "stdin" if data == "-" else Path(data).name.lstrip(".").partition(".")[0] or Path(data).resolve().name
    stem = re.sub(r"[\s/\\:]+", "-", stem) or "data"
    number = 1
    while Path(root, f"{stem}-{number}").exists():
        number += 1
    return str(Path(root, f"{stem}-{number}"))


def _check(options: dict[str, Any]) -> None:
    """Refuse what can be seen to be wrong before any data are read."""
    if options["overwrite"] and options["output"] is None:
        raise UsageError(
            "SC202", "--overwrite has no effect without --output", where="softclass train",
            hint="Name the run directory: --output DIR, or leave --overwrite out",
        )  # fmt: skip
    if options["dry_run"]:
        pointless = {"output": None, "fail_under": None, "report": True, "predictions": True}
        for name, default in pointless.items():
            if options[name] != default:
                spelled = known_options("train")[name].option
                raise UsageError("SC202", f"{spelled} has no effect with --dry-run", where="softclass train")
    if options["input_format"] in ("arrow", "parquet"):
        for name in ("delimiter", "decimal", "thousands", "encoding", "header"):
            if options[name] not in (None, True):
                spelled = known_options("train")[name].option
                raise UsageError(
                    "SC202", f"{spelled} does not apply to --input-format {options['input_format']} (applies to csv)",
                    where="softclass train",
                )  # fmt: skip
