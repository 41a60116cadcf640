"""Does a table give its own answer away? One column that tells the class, equal rows of different classes."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt

from softclass._typing import Columns
from softclass.data.blocks import MOST_ROWS as HASHED_ROWS
from softclass.data.column import shell_word
from softclass.data.column_spill import text_blocks
from softclass.data.preprocessing import CategoryStep, DatetimeStep, Preprocessing, row_keys
from softclass.data.split import Parts
from softclass.errors import Notes, shown

LEAK_SHARE = 0.05  # of the log loss of always answering with the shares of the classes
MOST_ROWS, MOST_CELLS, LEAST_ROWS, MOST_BINS = 50_000, 20_000_000, 20, 1000

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]


def find_leaks(
    columns: Columns, preprocessing: Preprocessing, targets: npt.ArrayLike, parts: Parts, notes: Notes
) -> None:
    """
    Look for columns that give the target away, and for rows that contradict each other.

    Parameters
    ----------
    columns : dict of arrays of shape (n_rows,)
        What `encode_columns` gave.
    preprocessing : Preprocessing
        Knows which columns are used, and their categories.
    targets : int array of shape (n_rows,)
        Class indices; rows with -1 are not looked at.
    parts : Parts
        Columns are judged by rules learnt on the fit part and tried on the other parts.
    notes : Notes
        Told of such columns (SC807), rows (SC824), equal columns (SC825), and dates in a random split (SC820).

    Notes
    -----
    Memory: a few arrays of one column's length; at most 50,000 rows of each part are used for SC807.

    Examples
    --------
    >>> from softclass.data.preprocessing import NumberStep
    >>> targets = np.arange(200) % 2
    >>> parts = Parts(np.arange(150), np.arange(0), np.arange(150, 200))
    >>> notes = Notes()
    >>> find_leaks({"a": targets * 2.0}, Preprocessing((NumberStep("a", 0, 0, 1, False, 0),)), targets, parts, notes)
    >>> [note.code for note in notes]
    ['SC807']
    """
    targets = np.asarray(targets, dtype=np.int64)
    _note_leaks(columns, preprocessing, targets, parts, notes)
    used = {step.input: columns[step.input] for step in preprocessing.steps}
    note_conflicts(row_keys(used), targets, notes)
    _note_equal_columns(used, notes)
    if len(parts.test) and not parts.by_time and not parts.own_test:
        for step in preprocessing.steps:
            if isinstance(step, DatetimeStep):
                hint = f"--time {shell_word(step.input)} if you predict the future"
                notes.add("SC820", "dates, but rows are held out at random", column=step.input, hint=hint)


def _note_leaks(columns: Columns, preprocessing: Preprocessing, targets: Int64, parts: Parts, notes: Notes) -> None:
    """Note each column that alone predicts the rows outside the fit part almost perfectly."""
    held = np.sort(np.concatenate([parts.calibration, parts.test]))
    # A budget of cells, so that ten thousand columns take seconds and not minutes.
    most = min(MOST_ROWS, max(2000, MOST_CELLS // max(1, len(preprocessing.steps))))
    fit, held = (_some(rows[targets[rows] >= 0], most) for rows in (parts.fit, held))
    if len(held) < LEAST_ROWS:
        return
    n_classes = int(targets.max()) + 1
    prior = (np.bincount(targets[fit], minlength=n_classes) + 1.0) / (len(fit) + n_classes)
    prior_loss = float(-np.log(prior[targets[held]]).mean())
    for step in preprocessing.steps:
        cells = columns[step.input]
        if isinstance(step, CategoryStep):
            numbers = {text: number for number, text in enumerate(("", *step.categories))}
            bins = [
                np.array([numbers.get(text, len(numbers)) for text in cells[rows].tolist()]) for rows in (fit, held)
            ]
        else:
            found = _bins(cells[fit], targets[fit], cells[held])
            if found is None:
                continue
            bins = list(found)
        loss = _loss(bins[0], targets[fit], bins[1], targets[held], prior)
        if loss < LEAK_SHARE * prior_loss:
            text = (
                f"alone predicts the target almost perfectly: log loss {loss:.3g} against {prior_loss:.3g} without it"
            )
            hint = f"--drop {shell_word(step.input)} if it is known only afterwards"
            notes.add("SC807", text, column=step.input, hint=hint)


def _some(rows: Int64, most: int) -> Int64:
    """Return at most so many rows, spread evenly."""
    return rows[:: max(1, -(-len(rows) // most))]


def _bins(fit: Float64, targets: Int64, held: Float64) -> tuple[Int64, Int64] | None:
    """Cut a number where the class changes along the sorted fit rows; None if it changes too often to matter."""
    present = ~np.isnan(fit)
    values, inverse = np.unique(fit[present], return_inverse=True)
    if not len(values):
        return None
    low, high = np.full(len(values), np.iinfo(np.int64).max), np.full(len(values), -1)
    np.minimum.at(low, inverse, targets[present])
    np.maximum.at(high, inverse, targets[present])
    pure = low == high
    changes = (low[1:] != low[:-1]) | ~pure[1:] | ~pure[:-1]
    if changes.sum() >= MOST_BINS:
        return None
    edges = values[1:][changes] / 2 + values[:-1][changes] / 2
    missing = len(edges) + 1
    found = [np.where(np.isnan(cells), missing, np.searchsorted(edges, cells)) for cells in (fit, held)]
    return found[0], found[1]


def _loss(fit: Int64, fit_targets: Int64, held: Int64, held_targets: Int64, prior: Float64) -> float:
    """Return the log loss of the class shares in each bin, drawn towards the prior by one row."""
    counts = np.zeros((int(max(fit.max(), held.max())) + 1, len(prior)))
    np.add.at(counts, (fit, fit_targets), 1.0)
    probabilities = (counts + prior) / (counts.sum(axis=1, keepdims=True) + 1.0)
    return float(-np.log(probabilities[held, held_targets]).mean())


def note_conflicts(row_hashes: npt.NDArray[np.uint64], targets: Int64, notes: Notes, word: str = "row") -> None:
    """Note rows or images that are equal and have different classes, and the mistakes that cannot be helped."""
    known = np.flatnonzero(targets >= 0)
    if not len(known):
        return
    keys = np.unique(row_hashes[known], return_inverse=True)[1]
    n_classes = int(targets.max()) + 1
    pairs, counts = np.unique(keys * n_classes + targets[known], return_counts=True)
    groups = pairs // n_classes
    starts = np.flatnonzero(np.append(True, groups[1:] != groups[:-1]))
    sizes, best = np.add.reduceat(counts, starts), np.maximum.reduceat(counts, starts)
    n_conflicting = int(sizes[best < sizes].sum())
    if n_conflicting:
        which = f"{word}s equal {'an' if word[0] == 'i' else 'a'} {word} of another class"
        text = f"{which}; at least {len(known) - int(best.sum()):,} of them will be mistaken"
        notes.add("SC824", text, count=n_conflicting)


def _note_equal_columns(columns: Columns, notes: Notes) -> None:
    """Note columns that repeat another one cell by cell."""
    first: dict[bytes, str] = {}
    for name, cells in columns.items():
        before = first.setdefault(_digest(cells), name)
        if before != name:
            notes.add(
                "SC825",
                f'equals column "{shown(before)}" in every row',
                column=name,
                hint=f"--drop {shell_word(name)}",
            )


def _digest(cells: npt.NDArray[Any]) -> bytes:
    """Return a hash of a whole column."""
    digest = blake2b(digest_size=16)
    if cells.dtype == object:
        for texts in text_blocks(cells):
            digest.update(texts)
    else:
        for first in range(0, len(cells), HASHED_ROWS):
            digest.update(np.ascontiguousarray(cells[first : first + HASHED_ROWS] + 0.0).data)
    return digest.digest()
