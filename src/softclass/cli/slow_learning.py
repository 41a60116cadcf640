"""``softclass demo slow-learning``: the experiments on the screen, their numbers and figures in a folder."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from softclass.cli.layout import jsonable, shown_path, table_lines
from softclass.cli.output import Screen
from softclass.cli.slow_experiments import SEEDS, Experiment, cell, digits, experiments
from softclass.data.writing import atomic_write
from softclass.functions.slow_learning import median_curves
from softclass.report.slow_figures import figures


def show_slow_learning(folder: Path, n_threads: int | None, screen: Screen) -> None:
    """
    Run all experiments, print their tables as they are done, and write tables and figures.

    Parameters
    ----------
    folder : Path
        Gets ``s1.csv`` and so on, ``numbers.json`` with all of them, and the figures; older ones are replaced.
    n_threads : int or None
        Threads of the engine; None takes one.
    screen : Screen
        Where the tables go.
    """
    folder.mkdir(parents=True, exist_ok=True)
    screen.remark("the network learns twelve times from five starts: about ten seconds")
    curves = median_curves(*digits(), seeds=SEEDS)
    found = {}
    for experiment in experiments(curves, n_threads or 1):
        found[experiment.key] = experiment.to_dict()
        _show(experiment, screen)
        _write(folder / f"{experiment.key}.csv", _csv(experiment))
    drawn = figures(curves)
    for name, text in drawn.items():
        _write(folder / f"{name}.svg", text)
    numbers = {"experiments": found, "curves": curves}
    _write(folder / "numbers.json", json.dumps(jsonable(numbers), indent=1, ensure_ascii=False) + "\n")
    screen.document(jsonable({"folder": str(folder), "figures": [f"{name}.svg" for name in drawn], **numbers}))
    screen.result(screen.out.paint("== written", "label"))
    screen.result(f"  {len(found)} tables, {len(drawn)} figures and numbers.json in {shown_path(folder)}")
    screen.result("  the derivation: docs/concepts/slow-learning.md")


def _show(experiment: Experiment, screen: Screen) -> None:
    screen.result(screen.out.paint(f"== {experiment.key.upper()}  {experiment.title}", "label"))
    columns = experiment.columns
    rows = [[cell(value, column) for value, column in zip(row, columns, strict=True)] for row in experiment.rows]
    numbers = [index for index, column in enumerate(columns) if column != "head"]
    # Theory stands beside what it is about.
    heading = ["theory" if column.endswith(" theory") else column for column in columns]
    for line in table_lines([heading, *rows], right=numbers):
        screen.result(f"  {line}")
    for sentence in experiment.findings:
        screen.result(f"  {sentence}")
    screen.result()


def _csv(experiment: Experiment) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(experiment.columns)
    writer.writerows([["never" if value is None else value for value in row] for row in experiment.rows])
    return text.getvalue()


def _write(path: Path, text: str) -> None:
    atomic_write(path, lambda file: file.write(text.encode("utf-8")))
