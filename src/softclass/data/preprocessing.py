"""Columns to float32 features by constants of the fit part: the training twin of the graph that ``model`` builds.

Every number is filled, centred and scaled in float64 and then rounded once to float32, so that NumPy and the graph
give the same bits. The sines and cosines of dates alone may differ, by one unit in the last place of float32, since
two libraries may round a float64 sine differently.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from hashlib import blake2b
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from softclass._typing import Columns
from softclass.data import facts
from softclass.data.blocks import MOST_ROWS
from softclass.data.column import Column, Schema
from softclass.data.row_order import splitmix64
from softclass.data.statistics import centre_and_scale, median, middle_and_spread
from softclass.errors import ModelFileError, Notes, TableError, shown

# Beyond this a scaled number would become an infinite float32, and two of those make the logits NaN. Rows of the fit
# part stay below the square root of their number, so training never meets it.
FEATURE_LIMIT = 1e30
SMOOTH_LIMIT, SMOOTH_SHARE = 1e100, 1 / 3  # of numbers that are bounded smoothly: their squares stay finite
CYCLE_SECONDS = {"day": 86_400.0, "week": 604_800.0, "year": 31_556_952.0}  # 365.2425 days
CYCLE_SPANS = {"day": 2 * 86_400.0, "week": 14 * 86_400.0, "year": 400 * 86_400.0}
MAX_COLUMN_INPUTS = 512
_BLOCK_ROWS = 2048  # a block of 128 features stays within a second-level cache
_EXAMPLES_SHOWN = 3

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class NumberStep:
    """A number: ``(x or fill, minus mean) / scale``, and a flag if the fit part had gaps.

    Attributes
    ----------
    input : str
        Name of the column in the graph.
    fill, mean, scale : float
        Median, mean and standard deviation of the fit part.
    flag : bool
        Whether a second feature is 1 where the cell is missing.
    missing : int
        Missing cells in the fit part.
    """

    input: str
    fill: float
    mean: float
    scale: float
    flag: bool
    missing: int
    kind: ClassVar[str] = "number"


@dataclass(frozen=True)
class BooleanStep:
    """False, missing, true become -1, 0, 1.

    Attributes
    ----------
    input : str
        Name of the column in the graph.
    missing : int
        Missing cells in the fit part.
    """

    input: str
    missing: int
    kind: ClassVar[str] = "boolean"


@dataclass(frozen=True)
class DatetimeStep:
    """Seconds since 1970: a trend like a number, and sine and cosine of each cycle.

    Attributes
    ----------
    input : str
        Name of the column in the graph.
    fill, mean, scale : float
        Median, mean and standard deviation of the fit part, in seconds.
    flag : bool
        Whether a second feature is 1 where the cell is missing.
    cycles : tuple of str
        Of "day", "week", "year".
    missing : int
        Missing cells in the fit part.
    """

    input: str
    fill: float
    mean: float
    scale: float
    flag: bool
    cycles: tuple[str, ...]
    missing: int
    kind: ClassVar[str] = "datetime"


@dataclass(frozen=True)
class CategoryStep:
    """One feature for missing, one for all other texts, one for each category.

    Attributes
    ----------
    input : str
        Name of the column in the graph.
    categories : tuple of str
        The most frequent first.
    other_rows : int
        Rows of the fit part whose category was too rare.
    missing : int
        Missing cells in the fit part.
    """

    input: str
    categories: tuple[str, ...]
    other_rows: int
    missing: int
    kind: ClassVar[str] = "category"

    @cached_property
    def known(self) -> frozenset[str]:
        """Texts that are a category, or missing."""
        return frozenset(("", *self.categories))


Step: TypeAlias = NumberStep | BooleanStep | DatetimeStep | CategoryStep
_STEPS: tuple[Any, ...] = (NumberStep, BooleanStep, DatetimeStep, CategoryStep)
_CHECKS: dict[str, facts.Check] = {
    "input": facts.is_text,
    "fill": facts.is_number,
    "mean": facts.is_number,
    "scale": facts.is_positive,
    "flag": facts.is_flag,
    "missing": facts.is_count,
    "other_rows": facts.is_count,
    "cycles": lambda value: facts.is_texts(value) and set(value) <= set(CYCLE_SECONDS),
    "categories": lambda value: facts.is_texts(value) and "" not in value,
}


@dataclass(frozen=True)
class Preprocessing:
    """What turns columns into features.

    Attributes
    ----------
    steps : tuple of steps
        One a column, in the order of the schema.
    layout : {"columns", "matrix"}
        Whether the graph has one input a column, or all numbers together and all texts together.
    smooth : bool
        Whether a scaled number y becomes ``y / sqrt(1 + (y/3)**2)``, between -3 and 3: networks read them so.

    Examples
    --------
    >>> preprocessing = Preprocessing((NumberStep("width", 3.0, 2.0, 0.5, True, 1),))
    >>> preprocessing.apply({"width": np.array([2.5, np.nan])}).tolist()
    [[1.0, 0.0], [2.0, 1.0]]
    >>> preprocessing.feature_names
    ('width', 'width is missing')
    """

    steps: tuple[Step, ...]
    layout: str = "columns"
    smooth: bool = False

    @property
    def n_features(self) -> int:
        """Number of features, D."""
        return sum(n_features_of_step(step) for step in self.steps)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """A name for people for each feature."""
        return tuple(name for step in self.steps for name in _names_of(step))

    def apply(self, columns: Columns) -> npt.NDArray[np.float32]:
        """Return the features of the rows, float32 of shape (n_rows, n_features), C-contiguous."""
        n_rows = _n_rows(columns)
        features = np.zeros((n_rows, self.n_features), dtype=np.float32)
        codes = {step.input: {c: i + 2 for i, c in enumerate(step.categories)} | {"": 0} for step in self.steps
                 if isinstance(step, CategoryStep)}  # fmt: skip
        # In blocks of rows, since writing one column of a long C-ordered array touches a cache line a row.
        for start in range(0, n_rows, _BLOCK_ROWS):
            block = features[start : start + _BLOCK_ROWS]
            first = 0
            for step in self.steps:
                cells = columns[step.input][start : start + _BLOCK_ROWS]
                if isinstance(step, CategoryStep):
                    numbers = np.array([codes[step.input].get(text, 1) for text in cells.tolist()], dtype=np.int64)
                    block[np.arange(len(cells)), first + numbers] = 1.0
                else:
                    _write_numbers(step, cells, block, first, self.smooth)
                first += n_features_of_step(step)
        return features

    def feeds(self, columns: Columns) -> dict[str, npt.NDArray[Any]]:
        """Return the inputs of the graph: one of shape (n_rows, 1) a column, or "numbers" and "texts"."""
        if self.layout == "columns":
            return {step.input: columns[step.input].reshape(-1, 1) for step in self.steps}
        groups = {
            "numbers": [columns[step.input] for step in self.steps if not isinstance(step, CategoryStep)],
            "texts": [columns[step.input] for step in self.steps if isinstance(step, CategoryStep)],
        }
        return {name: np.stack(found, axis=1) for name, found in groups.items() if found}

    def to_dict(self) -> dict[str, Any]:
        """Return plain facts: text, finite numbers, lists."""
        steps = []
        for step in self.steps:
            found = {field.name: getattr(step, field.name) for field in fields(step)}
            lists = {name: list(value) for name, value in found.items() if isinstance(value, tuple)}
            steps.append({"kind": step.kind, **found, **lists})
        return {"layout": self.layout, "steps": steps, **({"smooth": True} if self.smooth else {})}

    @classmethod
    def from_dict(cls, stored: Any) -> Preprocessing:
        """Return what `to_dict` wrote; anything else is a ModelFileError (SC405)."""
        checks: dict[str, facts.Check] = {"layout": facts.one_of("columns", "matrix"), "steps": facts.is_list}
        if isinstance(stored, Mapping) and "smooth" in stored:
            checks["smooth"] = lambda value: value is True
        found = facts.checked(stored, checks, "steps")
        steps = tuple(_step_of(step, f"steps[{i}]") for i, step in enumerate(found["steps"]))
        inputs = [step.input for step in steps]
        if len(set(inputs)) < len(inputs):
            raise ModelFileError("SC405", "each column has one step; one has two", where="steps")
        return cls(steps, found["layout"], found.get("smooth", False))


def fit_preprocessing(
    columns: Columns, schema: Schema, rows: npt.NDArray[np.int64], notes: Notes, *, max_categories: int = 1000
) -> Preprocessing:
    """
    Find the constants in the fit part.

    Parameters
    ----------
    columns : dict of arrays of shape (n_rows,)
        What `encode_columns` gave.
    schema : Schema
        Kinds of the columns.
    rows : int64 array
        Rows of the fit part; no others are looked at.
    notes : Notes
        Told of filled cells (SC803) and merged categories (SC815).
    max_categories : int, default 1000
        Categories kept in each column, the most frequent first.

    Returns
    -------
    Preprocessing
        One step a column.

    Examples
    --------
    >>> schema = Schema("kind", (), (Column("width", "width", "number", 0),))
    >>> fitted = fit_preprocessing({"width": np.array([1.0, 3.0])}, schema, np.array([0, 1]), Notes())
    >>> fitted.steps[0].mean, fitted.steps[0].scale
    (2.0, 1.0)
    """
    steps = tuple(_fit_step(columns[column.input][rows], column, notes, max_categories) for column in schema.columns)
    return Preprocessing(steps, "columns" if len(steps) <= MAX_COLUMN_INPUTS else "matrix")


def smooth_preprocessing(columns: Columns, preprocessing: Preprocessing, rows: npt.NDArray[np.int64]) -> Preprocessing:
    """
    Return a preprocessing that extreme values do not move, for networks.

    Parameters
    ----------
    columns : dict of arrays of shape (n_rows,)
        What `encode_columns` gave.
    preprocessing : Preprocessing
        Fitted on the same rows; its categories, fillings and flags stay.
    rows : int64 array
        Rows of the fit part.

    Returns
    -------
    Preprocessing
        Numbers are centred on the median, scaled by the distance between the quartiles, and bounded smoothly.

    Examples
    --------
    >>> plain = Preprocessing((NumberStep("width", 2.0, 2e8, 4e8, False, 0),))
    >>> columns = {"width": np.array([0.0, 1.0, 2.0, 3.0, 1e9])}
    >>> smooth = smooth_preprocessing(columns, plain, np.arange(5))
    >>> smooth.apply(columns).astype(float).round(3).ravel().tolist()
    [-0.949, -0.493, 0.0, 0.493, 3.0]
    """
    steps: list[Step] = []
    for step in preprocessing.steps:
        if isinstance(step, NumberStep | DatetimeStep):
            cells = np.asarray(columns[step.input][rows])
            middle, spread = middle_and_spread(cells[~np.isnan(cells)])
            steps.append(replace(step, mean=middle, scale=spread))
        else:
            steps.append(step)
    return Preprocessing(tuple(steps), preprocessing.layout, smooth=True)


def count_unseen(
    columns: Columns, preprocessing: Preprocessing, notes: Notes, *, fail: bool = False, name: str = ""
) -> None:
    """
    Note the cells whose category is not one that training kept.

    Parameters
    ----------
    columns : dict of arrays of shape (n_rows,)
        What `encode_columns` gave.
    preprocessing : Preprocessing
        Knows the categories.
    notes : Notes
        Told of each column with such cells (SC802).
    fail : bool, default False
        Refuse them instead.

    Raises
    ------
    TableError
        SC323, with `fail`.

    Examples
    --------
    >>> notes = Notes()
    >>> preprocessing = Preprocessing((CategoryStep("sex", ("female", "male"), 0, 0),))
    >>> count_unseen({"sex": np.array(["male", "x", ""], dtype=object)}, preprocessing, notes)
    >>> [note.message for note in notes]
    ['column "sex": 1 cell of categories never seen in training count as "other": "x"']
    """
    for step in preprocessing.steps:
        if not isinstance(step, CategoryStep):
            continue
        unseen = Counter(text for text in columns[step.input].tolist() if text not in step.known)
        if not unseen:
            continue
        count = sum(unseen.values())
        examples = ", ".join(f'"{shown(text)}"' for text, _ in unseen.most_common(_EXAMPLES_SHOWN))
        seldom = "never seen" if step.other_rows == 0 else "never or seldom seen"
        if fail:
            raise TableError(
                "SC323",
                f"{count:,} cells of categories {seldom} in training: {examples}",
                where=f'{shown(name)}, column "{shown(step.input)}"' if name else f'column "{shown(step.input)}"',
                hint='--unseen other to count them as "other"',
            )
        # One note a column, also when the rows come in batches: the examples are those of the first batch.
        before = [note.text for note in notes if note.code == "SC802" and note.column == step.input]
        text = before[0] if before else f'cells of categories {seldom} in training count as "other": {examples}'
        notes.add("SC802", text, column=step.input, count=count)


def row_keys(columns: Columns) -> npt.NDArray[np.uint64]:
    """
    Return a hash of each row; rows of equal cells have equal keys.

    Parameters
    ----------
    columns : dict of arrays of shape (n_rows,)
        What `encode_columns` gave.

    Returns
    -------
    uint64 array of shape (n_rows,)
        The same for the same cells, on every machine.

    Notes
    -----
    64 bits: among a million different rows two share a key with probability 3e-8.

    Examples
    --------
    >>> keys = row_keys({"a": np.array([0.0, -0.0, np.nan]), "b": np.array(["x", "x", ""], dtype=object)})
    >>> bool(keys[0] == keys[1]), bool(keys[0] == keys[2])
    (True, False)
    """
    keys = np.zeros(_n_rows(columns), dtype=np.uint64)
    for column in columns.values():
        hashes: dict[str, int] = {}
        for start in range(0, len(keys), MOST_ROWS):  # a column may be on disk
            block, cells = keys[start : start + MOST_ROWS], column[start : start + MOST_ROWS]
            if cells.dtype == object:
                texts = cells.tolist()
                hashes |= {text: _hash_of(text) for text in set(texts).difference(hashes)}
                values = np.fromiter((hashes[text] for text in texts), dtype=np.uint64, count=len(cells))
            else:
                values = np.where(np.isnan(cells), np.nan, cells + 0.0).view(np.uint64)  # one zero, one NaN
            block[:] = splitmix64(block ^ splitmix64(values))
    return keys


def _hash_of(text: str) -> int:
    """Return 64 bits of a text."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def n_features_of_step(step: Step) -> int:
    """
    Return how many features a step makes.

    Parameters
    ----------
    step : step
        Of a preprocessing.

    Returns
    -------
    int
        At least 1.

    Examples
    --------
    >>> n_features_of_step(CategoryStep("sex", ("female", "male"), 0, 0))
    4
    """
    if isinstance(step, CategoryStep):
        return 2 + len(step.categories)
    if isinstance(step, BooleanStep):
        return 1
    return 1 + step.flag + (2 * len(step.cycles) if isinstance(step, DatetimeStep) else 0)


def _write_numbers(
    step: NumberStep | BooleanStep | DatetimeStep, cells: Float64, block: Any, first: int, smooth: bool
) -> None:
    """Write the features of one column that is not text into a block of rows."""
    fill, mean, scale = (0.5, 0.5, 0.5) if isinstance(step, BooleanStep) else (step.fill, step.mean, step.scale)
    missing = np.isnan(cells)
    filled = np.where(missing, fill, cells)
    with np.errstate(over="ignore", invalid="ignore"):  # the graph does not warn either
        scaled = (filled - mean) / scale
        if smooth:
            scaled = np.clip(scaled, -SMOOTH_LIMIT, SMOOTH_LIMIT)
            share = scaled * SMOOTH_SHARE
            scaled = scaled / np.sqrt(share * share + 1.0)
        block[:, first] = np.clip(scaled, -FEATURE_LIMIT, FEATURE_LIMIT)
    if isinstance(step, BooleanStep):
        return
    if step.flag:
        block[:, first + 1] = missing
    for i, cycle in enumerate(step.cycles if isinstance(step, DatetimeStep) else ()):
        turns = filled / CYCLE_SECONDS[cycle]
        angle = (turns - np.floor(turns)) * (2 * np.pi)
        place = first + 1 + step.flag + 2 * i
        block[:, place], block[:, place + 1] = np.sin(angle), np.cos(angle)


def _names_of(step: Step) -> list[str]:
    """Name the features of a step."""
    name = step.input
    if isinstance(step, CategoryStep):
        return [f"{name} is missing", f"{name} is another", *(f"{name} = {category}" for category in step.categories)]
    if isinstance(step, BooleanStep):
        return [name]
    cycles = step.cycles if isinstance(step, DatetimeStep) else ()
    waves = [f"{name}, {wave} of the {cycle}" for cycle in cycles for wave in ("sine", "cosine")]
    return [name, *([f"{name} is missing"] if step.flag else []), *waves]


def _n_rows(columns: Columns) -> int:
    """Return the length of the columns."""
    return len(next(iter(columns.values()))) if columns else 0


def _fit_step(cells: npt.NDArray[Any], column: Column, notes: Notes, max_categories: int) -> Step:
    """Fit the step of one column on the cells of the fit part."""
    if column.kind == "category":
        return _fit_category(cells.tolist(), column, notes, max_categories)
    missing = int(np.isnan(cells).sum())
    if column.kind == "boolean":
        if missing:
            notes.add("SC803", "missing in the fit part, counted as half true", column=column.name, count=missing)
        return BooleanStep(column.input, missing)
    present = cells[~np.isnan(cells)]
    fill = median(present)
    # The filled cells take part, since they do so in the features too.
    mean, scale = centre_and_scale(np.where(np.isnan(cells), fill, cells))
    flag = 0 < missing < len(cells)
    if missing:
        shown_fill = str(np.datetime64(int(fill), "s")) if column.kind == "datetime" else f"{fill:.6g}"
        text = f"missing in the fit part, filled with the median {shown_fill}" + (" and flagged" * flag)
        notes.add("SC803", text, column=column.name, count=missing)
    if column.kind == "datetime":
        return DatetimeStep(column.input, fill, mean, scale, flag, _cycles_of(present), missing)
    return NumberStep(column.input, fill, mean, scale, flag, missing)


def _cycles_of(seconds: Float64) -> tuple[str, ...]:
    """Return the cycles that the times are long enough for; a day only if some time is not midnight."""
    span = float(seconds.max() - seconds.min()) if len(seconds) else 0.0
    has_times = bool(np.any(np.mod(seconds, CYCLE_SECONDS["day"]) != 0))
    return tuple(cycle for cycle in CYCLE_SECONDS if span >= CYCLE_SPANS[cycle] and (has_times or cycle != "day"))


def _fit_category(texts: list[str], column: Column, notes: Notes, max_categories: int) -> CategoryStep:
    """Keep the categories that are frequent enough, the most frequent first, ties by code point."""
    counts = Counter(texts)
    missing = counts.pop("", 0)
    least = min(5, -(-len(texts) // 200))
    frequent = sorted(
        (text for text, count in counts.items() if count >= least), key=lambda text: (-counts[text], text)
    )
    kept = tuple(frequent[:max_categories])
    other_rows = len(texts) - missing - sum(counts[text] for text in kept)
    if other_rows:
        hint = f"--max-categories to keep more than {max_categories:,}" if len(frequent) > max_categories else ""
        text = f'rare categories, {other_rows:,} rows of the fit part, merged into "other"'
        notes.add("SC815", text, column=column.name, count=len(counts) - len(kept), hint=hint)
    return CategoryStep(column.input, kept, other_rows, missing)


def _step_of(stored: Any, where: str) -> Step:
    """Read one stored step."""
    kind = stored.get("kind") if isinstance(stored, Mapping) else None
    for step in _STEPS:
        if step.kind == kind:
            checks = {"kind": facts.is_text, **{field.name: _CHECKS[field.name] for field in fields(step)}}
            found = facts.checked(stored, checks, where)
            del found["kind"]
            read: Step = step(**{key: tuple(fact) if isinstance(fact, list) else fact for key, fact in found.items()})
            return read
    raise ModelFileError("SC405", f'"kind" breaks its rule; got {shown(repr(kind))}', where=where)
