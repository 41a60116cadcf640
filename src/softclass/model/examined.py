"""Rows of known class with the answers of the model: what figures, predictions file and report are made of."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from softclass.data.files import read_bytes
from softclass.data.images import ImageSet
from softclass.data.table import ReadOptions, Table
from softclass.errors import Note, Notes
from softclass.functions.cross_entropy import cross_entropy
from softclass.model.examples import Examples, Inputs
from softclass.model.manifest import Manifest
from softclass.model.predictions import prediction_table, read_predictions
from softclass.model.rows import read_rows
from softclass.model.session import Outputs, Session
from softclass.model.warned import warn_of
from softclass.trust.evaluation import Evaluation, evaluate

ALL_ROWS = 2**31  # in one block
METRICS_BYTES = 2**28


@dataclass(frozen=True, eq=False)
class Examined:
    """Answers beside the truth.

    Attributes
    ----------
    evaluation : Evaluation
        All figures.
    logits : float32 array of shape (n_rows, n_classes)
        As the graph gave them.
    targets : int64 array of shape (n_rows,)
        Class numbers, -1 for a class the model does not know.
    classes : tuple of str
        Names in the order of the logits.
    target_names : sequence of str or None, optional
        Labels as the data give them, where they may be unknown to the model.
    table, images : Table or ImageSet, or None
        The rows as they were read.
    inputs : dict of columns or pixels, optional
        What the graph took.
    row_numbers : int64 array of shape (n_rows,), optional
        Number of each row in its source, counted from 1.
    class_counts : mapping of str to int
        Rows of each class in the whole data.
    places : sequence of str, optional
        Where each row stands, if neither table nor images say so.
    probabilities : float32 array of shape (n_rows, n_classes), optional
        As the graph gave them.
    """

    evaluation: Evaluation
    logits: npt.NDArray[np.float32]
    targets: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    target_names: Sequence[str | None] | None = None
    table: Table | None = None
    images: ImageSet | None = None
    inputs: Inputs | None = None
    row_numbers: npt.NDArray[np.int64] | None = None
    class_counts: Mapping[str, int] = field(default_factory=dict)
    places: Sequence[str] | None = None
    probabilities: npt.NDArray[np.float32] | None = None

    def place(self, row: int) -> str:
        """Where a row stands in the user's data."""
        if self.images is not None:
            return self.images.files[row]
        if self.places is not None:
            return self.places[row]
        return f"row {row + 1}" if self.table is None else self.table.place(row)

    def cells(self, row: int) -> dict[str, str] | None:
        """The cells of a row as text; None for an image."""
        if self.table is None:
            return None
        found = {name: column[row].as_py() for name, column in self.table.columns.items()}
        return {name: "" if cell is None else str(cell) for name, cell in found.items()}

    def loss_of(self, row: int) -> float:
        """Cross-entropy of a row in nats; infinite for a class the model does not know."""
        if self.targets[row] < 0:
            return math.inf
        return float(cross_entropy(self.logits[row : row + 1].astype(np.float64), self.targets[row : row + 1]))

    def name_of(self, row: int) -> str:
        """Name of the true class of a row."""
        if self.targets[row] >= 0:
            return self.classes[int(self.targets[row])]
        name = None if self.target_names is None else self.target_names[row]
        return "" if name is None else name

    def _numbers(self) -> npt.NDArray[np.int64]:
        return np.arange(1, len(self.targets) + 1) if self.row_numbers is None else self.row_numbers

    def predictions(self) -> Any:
        """Return the predictions file of these rows: every column as read, then what the model says, with logits."""
        assert self.probabilities is not None  # noqa: S101 - in training they are there
        leading: dict[str, Any] = {}
        if self.images is not None:
            leading["file"] = list(self.images.files)
        elif self.table is not None:
            leading = {"row": self._numbers(), **self.table.columns}
        return prediction_table(
            self.logits,
            self.probabilities,
            self.classes,
            leading,
            with_logits=True,
            targets=self.targets,
            target_names=[self.name_of(row) for row in range(len(self.targets))],
        )


@dataclass(frozen=True, eq=False)
class Training:
    """What training knew and the model file does not hold.

    Attributes
    ----------
    evaluation : Evaluation or None
        With all diagrams, whatever the number of classes.
    notes : tuple of Note
        With their hints.
    examined : Examined or None
        The tested rows themselves.
    title : str
        Name of the data.
    config : str
        The options, as TOML.
    told : mapping
        What ``metrics.json`` says beyond the figures: ``fit``, and ``path`` and ``odds_ratios`` if they were asked for.
    """

    evaluation: Evaluation | None
    notes: tuple[Note, ...]
    examined: Examined | None
    title: str
    config: str
    told: Mapping[str, Any] = field(default_factory=dict)


def examine_test_part(
    tests: Examples, outputs: Outputs, temperature: float, *, seed: int, class_counts: Mapping[str, int]
) -> Examined:
    """Put all figures of the test part together."""
    names = tests.class_names()
    evaluation = evaluate(
        outputs.logits,
        tests.targets,
        names,
        temperature=temperature,
        sample_weight=tests.weights,
        groups=tests.groups,
        seed=seed,
        split="test",
    )
    labels = None if tests.images is None else tests.images.labels
    return Examined(
        evaluation,
        outputs.logits,
        tests.targets,
        tuple(names),
        labels,
        tests.table,
        tests.images,
        inputs=tests.inputs,
        row_numbers=tests.row_numbers,
        class_counts=class_counts,
        probabilities=outputs.probabilities,
    )


def examine_data(session: Session, manifest: Manifest, data: Any, title: str, notes: Notes | None) -> Examined:
    """Answer labelled rows and keep them for a report; without `notes` they become warnings."""
    collected = Notes() if notes is None else notes
    blocks = list(read_rows(data, manifest, ReadOptions(), collected, labelled=True, batch_rows=ALL_ROWS))
    if notes is None:
        warn_of(collected)
    logits = np.concatenate([session.run(rows.feeds).logits for rows in blocks])
    targets = np.concatenate([rows.targets for rows in blocks if rows.targets is not None])
    names = tuple(label.name for label in manifest.classes)
    found = evaluate(logits, targets, names, temperature=manifest.temperature().temperature, split=title)
    whole = blocks[0] if len(blocks) == 1 else None
    return Examined(
        found,
        logits,
        targets,
        names,
        [name for rows in blocks for name in rows.target_names or ()],
        None if whole is None else whole.table,
        None if whole is None else whole.images,
    )


TOLD = ("fit", "choice", "learning", "path", "odds_ratios")


def told_of_run(path: Path) -> dict[str, Any]:
    """Read what ``metrics.json`` says of the fit beyond the figures; nothing where there is no such file."""
    if not path.is_file():
        return {}
    try:
        found = json.loads(read_bytes(path, limit=METRICS_BYTES))
    except ValueError:
        return {}
    facts = found if isinstance(found, dict) else {}
    return {name: facts[name] for name in TOLD if isinstance(facts.get(name), dict)}


def examined_of_run(path: Path, classes: Sequence[str], evaluation: Evaluation | None, temperature: float) -> Examined:
    """Read the tested rows of a run back from its predictions file."""
    logits, target_names, leading = read_predictions(path, classes)
    number = {name: index for index, name in enumerate(classes)}
    targets = np.array([number.get(name, -1) for name in target_names], dtype=np.int64)
    if evaluation is None:
        evaluation = evaluate(logits, targets, classes, temperature=temperature, split="test")
    if "file" in leading:
        places = [str(name) for name in leading["file"].to_pylist()]
        return Examined(evaluation, logits, targets, tuple(classes), target_names, places=places)
    places = [f"row {row}" for row in leading.pop("row").to_pylist()]
    table = Table(path.name, leading, len(targets), is_text=False, dialect=None)
    return Examined(evaluation, logits, targets, tuple(classes), target_names, table, places=places)
