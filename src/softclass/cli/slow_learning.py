"""``softclass demo slow-learning``: the experiments on the screen, their numbers and figures in a folder."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from softclass.cli.layout import jsonable, quoted_path, table_lines
from softclass.cli.output import Screen
from softclass.cli.slow_experiments import SEEDS, Experiment, cell, digits, experiments
from softclass.cli.train import folder_of
from softclass.data.files import atomic_directory, atomic_write_text
from softclass.functions.slow_learning import median_curves
from softclass.report.slow_figures import figures

NUMBERS = "numbers.json"


def show_slow_learning(folder: Path, n_threads: int | None, screen: Screen) -> None:
    """
    Run all experiments, print their tables as they are done, and write tables and figures.

    Parameters
    ----------
    folder : Path
        Gets ``s1.csv`` and so on, ``numbers.json`` with all of them, and the figures; an older one is replaced.
    n_threads : int or None
        Threads of the engine; None takes one.
    screen : Screen
        Where the tables go.

    Raises
    ------
    UsageError, PathError
        SC204, if something else stands there; SC604, if the folder cannot be made.
    """
    screen.remark("six experiments, a network among them: about half a minute")
    found: dict[str, dict[str, Any]] = {}
    # A second demo replaces the folder of the first; what is not one of ours is refused.
    with folder_of(folder), atomic_directory(folder, overwrite=folder.exists(), is_ours=_is_ours) as place:
        curves = median_curves(*digits(), seeds=SEEDS)
        for experiment in experiments(curves, n_threads or 1):
            found[experiment.key] = experiment.to_dict()
            _show(experiment, screen)
            atomic_write_text(place / f"{experiment.key}.csv", _csv(experiment))
        drawn = figures(curves)
        for name, text in drawn.items():
            atomic_write_text(place / f"{name}.svg", text)
        numbers = {"experiments": found, "curves": curves}
        atomic_write_text(place / NUMBERS, json.dumps(jsonable(numbers), indent=1, ensure_ascii=False) + "\n")
    screen.document(jsonable({"folder": str(folder), "figures": [f"{name}.svg" for name in drawn], **numbers}))
    screen.result(screen.out.paint("== written", "label"))
    screen.result(f"  {len(found)} tables, {len(drawn)} figures and {NUMBERS} in {quoted_path(folder)}")
    screen.result("  the derivation: docs/concepts/slow-learning.md")


def _is_ours(folder: Path) -> bool:
    return (folder / NUMBERS).is_file()


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
