"""``softclass demo``: train on the two data sets that come along, predict, evaluate, and say where the reports are.

``softclass demo slow-learning`` repeats the experiments of docs/concepts/slow-learning.md in their place.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from softclass.cli.evaluation_text import evaluation_lines
from softclass.cli.layout import quoted_path, share, table_lines
from softclass.cli.options import Common, option
from softclass.cli.output import Screen
from softclass.cli.train import folder_of
from softclass.errors import Notes, shown

ROWS_SHOWN = 5
# Name of the run, shipped file, target, what it is.
DEMOS: tuple[tuple[str, str, str | None, str], ...] = (
    ("demo-penguins", "penguins.csv", "species", "a table: three species of penguins, with gaps"),
    ("demo-digits", "digits.npz", None, "images: handwritten digits, 8 by 8 pixels"),
)


def demo(
    what: Annotated[
        Literal["models", "slow-learning"],
        Parameter(help="slow-learning: experiments with cross-entropy and squared error; tables and figures"),
    ] = "models",
    /,
    *,
    output: Annotated[str, option("where the new folders go", "--output", "-o", metavar="DIR")] = "runs",
    common: Common = Common(),  # noqa: B008 - frozen
    screen: Annotated[Screen, Parameter(parse=False)],
) -> None:
    """Train on a table and on images that come along, predict, evaluate, and write both reports."""
    if what == "slow-learning":
        from softclass.cli.slow_learning import show_slow_learning

        show_slow_learning(Path(output, what), common.threads, screen)
        return
    found: list[dict[str, Any]] = []
    for name, file, target, about in DEMOS:
        path = Path(output, name)
        screen.result(screen.out.paint(f"== {about}", "label"))
        model = _train(path, file, target, common, screen)
        screen.result()
        _predict(model, path, file, screen)
        screen.result()
        _evaluate(model, path, file, screen)
        screen.result()
        evaluation = None if model.evaluation is None else model.evaluation.to_dict()
        found.append({"run": str(path), "report": str(path / "report.html"), "evaluation": evaluation})
    screen.document({"demo": [_short(one) for one in found]})
    screen.result(screen.out.paint("== look at the reports", "label"))
    for one in found:
        screen.result(f"  {Path(one['report']).absolute().as_uri()}")
    screen.result(screen.out.paint("== try next", "label"))
    run = quoted_path(Path(output, DEMOS[0][0]))
    screen.result(f"  softclass inspect {run}")
    screen.result(f"  softclass report {run} --lang zh --open")
    screen.result("  softclass train your-table.csv --target your-column")


def _train(path: Path, file: str, target: str | None, common: Common, screen: Screen) -> Any:
    from softclass.cli.summary import TrainingSummary
    from softclass.data import samples
    from softclass.model.train import train

    screen.result(f"$ softclass train {file}{f' --target {target}' if target else ''} -o {quoted_path(path)}")
    with folder_of(path):
        return train(
            str(samples.path(file)),
            target,
            output=str(path),
            # A second demo replaces the runs of the first; what is not a run of ours is refused.
            overwrite=path.exists(),
            strict=common.strict,
            threads=common.threads,
            progress=TrainingSummary(screen),
        )


def _predict(model: Any, path: Path, file: str, screen: Screen) -> None:
    from softclass.data import samples

    screen.result(f"$ softclass predict {quoted_path(path)} {file} | head -{ROWS_SHOWN + 1}")
    block = next(iter(model.predict_batches(str(samples.path(file)), batch_rows=ROWS_SHOWN, notes=Notes())))
    columns = block.column_names[:6]
    rows = [[_cell(value) for value in row.values()] for row in block.select(columns).to_pylist()]
    more = "" if len(columns) == block.num_columns else f"  … {block.num_columns - len(columns)} more columns"
    for index, line in enumerate(table_lines([[shown(name, 24) for name in columns], *rows])):
        screen.result(f"  {line}{more if index == 0 else ''}")


def _evaluate(model: Any, path: Path, file: str, screen: Screen) -> None:
    from softclass.data import samples

    screen.result(f"$ softclass evaluate {quoted_path(path)} {file}     (all rows; most of them were learnt from)")
    facts = model.evaluate(str(samples.path(file)), notes=Notes()).to_dict()
    for line in evaluation_lines({**facts, "per_class": None}, screen.out.width):
        screen.result(f"  {line}")


def _cell(value: Any) -> str:
    return share(value) if isinstance(value, float) else shown("" if value is None else value, 24)


def _short(one: dict[str, Any]) -> dict[str, Any]:
    evaluation = one["evaluation"] or {}
    return {**{key: one[key] for key in ("run", "report")}, **{k: evaluation.get(k) for k in ("accuracy", "log_loss")}}
