"""Rows into the parts fit, calibration and test: seeded, stratified, disjoint, the same split for ever."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from softclass.data.row_order import Keys, row_order
from softclass.errors import DataError, Notes, TableError, UsageError, first_few, shown

PARTS = ("fit", "calibration", "test")
TEST_SHARE, CALIBRATION_SHARE = 0.2, 0.15
SMALL_TABLE_ROWS, SMALL_TEST_ROWS, FEW_CALIBRATION_ROWS = 100, 5, 50
_CELLS = {"fit": "fit", "train": "fit", "validation": "calibration", "calibration": "calibration"}
_CELLS |= {"conformal": "calibration", "test": "test"}
_NAMES_SHOWN = 5

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SplitOptions:
    """How the rows are to be divided; None stands for the default shares.

    Attributes
    ----------
    test, calibration : float or None
        Share of all rows, and share of the others, in [0, 1). None: 0.2, and 0.15 but at most ``max(2000, 20 K)`` rows.
    stratify : bool
        Each class gives the same share to each part.
    seed : int
        Another seed, another split.
    """

    test: float | None = None
    calibration: float | None = None
    stratify: bool = True
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Parts:
    """Row numbers of each part: sorted, disjoint, and together all rows.

    Attributes
    ----------
    fit, calibration, test : int64 array
        Row numbers.
    seed : int
        The seed that was used.
    stratified : bool
        Whether each class gave its share.
    own_test, own_calibration : bool
        Whether rows came marked for that part.
    by_time : bool
        Whether the latest rows were held out.
    group, time : str or None
        Columns that decided; filled in by the caller.
    """

    fit: Rows
    calibration: Rows
    test: Rows
    seed: int = 0
    stratified: bool = True
    own_test: bool = False
    own_calibration: bool = False
    by_time: bool = False
    group: str | None = None
    time: str | None = None

    def sizes(self) -> dict[str, int]:
        """Return the number of rows of each part."""
        return {part: len(getattr(self, part)) for part in PARTS}


def own_parts(cells: npt.ArrayLike, column: str, notes: Notes) -> npt.NDArray[np.str_]:
    """
    Read the cells of a split column.

    Parameters
    ----------
    cells : array of str of shape (n_rows,)
        Each ``fit`` or ``train``, ``validation``, ``calibration`` or ``conformal``, ``test``; any case.
    column : str
        Name of the column, for messages.
    notes : Notes
        Told which rows serve another purpose than their name says.

    Returns
    -------
    str array of shape (n_rows,)
        Each ``fit``, ``calibration`` or ``test``.

    Raises
    ------
    TableError
        SC317, if a cell names no part.

    Examples
    --------
    >>> own_parts(["train", "Test", "fit"], "part", Notes()).tolist()
    ['fit', 'test', 'fit']
    """
    names, where = np.unique(np.asarray(cells, dtype=np.str_), return_inverse=True)
    trimmed = [str(name).strip().casefold() for name in names]
    for name, word in zip(names, trimmed, strict=True):
        if word not in _CELLS:
            first, count = int(np.argmax(names[where] == name)), int(np.sum(names[where] == name))
            raise TableError(
                "SC317",
                f'cells must be fit, train, validation, calibration, conformal or test; got "{shown(name)}" '
                f"({count:,} of {len(where):,} cells)",
                where=f'row {first + 1}, column "{shown(column)}"',
                hint="Name the part of every row, or leave the split column out and let softclass divide the rows",
            )
    for word in ("validation", "conformal"):
        count = int(np.sum(np.array([name == word for name in trimmed], dtype=bool)[where])) if len(where) else 0
        if count:
            notes.add("SC823", f'rows marked "{word}", used as calibration rows', column=column, count=count)
    return np.array([_CELLS[word] for word in trimmed] or [""], dtype="<U11")[where]


def split(
    targets: npt.ArrayLike,
    n_classes: int,
    options: SplitOptions,
    notes: Notes,
    *,
    class_names: Sequence[str],
    own: npt.ArrayLike | None = None,
    groups: npt.ArrayLike | None = None,
    times: npt.ArrayLike | None = None,
    content_keys: npt.ArrayLike | None = None,
) -> Parts:
    """
    Divide the rows into fit, calibration and test.

    Rows are ordered by a key of seed and row number; each class gives its share by largest remainder. Classes with
    fewer rows than there are parts stay in fit.

    Parameters
    ----------
    targets : int array of shape (n_rows,)
        Class indices; -1, a class that is not counted, only in rows that bring their own part.
    n_classes : int
        Number of classes, K.
    options : SplitOptions
        Shares, stratification, seed.
    notes : Notes
        Told of rare classes (SC804) and of parts that are small or absent (SC821).
    class_names : sequence of str
        Names for messages.
    own : array of str of shape (n_rows,), optional
        "fit", "calibration", "test" where the data bring their own parts, "" where not. Missing parts are drawn from
        the rows marked "" or "fit".
    groups : array of shape (n_rows,), optional
        Rows of one group stay in one part; rows without a group (NaN or "") stand alone.
    times : float array of shape (n_rows,), optional
        The latest rows are the test part, the latest of the others the calibration part; NaN counts as the oldest.
    content_keys : uint64 array of shape (n_rows,), optional
        Rows with equal keys share a part, for repeated images.

    Returns
    -------
    Parts
        Row numbers.

    Raises
    ------
    UsageError
        SC202, SC203, SC207, if options are out of range or contradict the data.
    DataError
        SC371, if the fit part or a part that was asked for would be empty; SC372, if own parts cut a group.

    Notes
    -----
    Where rows are drawn, each class keeps a fit row. Own parts and `times` may leave a class without any.

    Examples
    --------
    >>> targets = np.arange(200) % 2
    >>> split(targets, 2, SplitOptions(), Notes(), class_names=["A", "B"]).sizes()
    {'fit': 136, 'calibration': 24, 'test': 40}
    """
    targets = np.asarray(targets, dtype=np.int64)
    marks = np.full(len(targets), "", dtype="<U11") if own is None else np.asarray(own, dtype="<U11")
    _check_options(options, marks, groups is not None and times is not None)
    part = np.where(np.isin(marks, PARTS[1:]), marks, "fit").astype("<U11")
    free = ~np.isin(marks, PARTS[1:])
    group_codes = None if groups is None else _codes_of(groups, notes)
    if group_codes is not None:
        _check_groups(group_codes, marks)

    draw = _parts_to_draw(targets, free, marks, options, n_classes)
    blocks = group_codes if content_keys is None else np.unique(np.asarray(content_keys), return_inverse=True)[1]
    rare = _rare_classes(targets[free], n_classes, len(draw) + 1) if draw and times is None else np.zeros(0, np.int64)
    keys = row_order(len(targets), options.seed)
    moments = None if times is None else _moments(times, notes)
    cap = max(2000, 20 * n_classes) if options.calibration is None else len(targets)
    for further, (name, share) in zip(range(len(draw) - 1, -1, -1), draw, strict=True):
        candidates = np.flatnonzero((part == "fit") & free & (targets >= 0) & ~np.isin(targets, rare))
        wanted = int(np.floor(share * len(candidates) + 0.5))
        wanted = min(wanted, cap) if name == "calibration" else wanted
        if moments is not None:
            taken = _latest(candidates, moments, wanted)
        elif group_codes is not None:
            taken = _whole_groups(candidates, group_codes, keys, wanted)
        elif options.stratify:
            taken = _stratified(candidates, targets, blocks, keys, wanted, n_classes, leave=1 + further)
        else:
            taken = _first_blocks(candidates, blocks, keys, wanted)
        part[taken] = name
    if times is None:
        _give_back_lost_classes(part, free, targets, blocks, n_classes)

    found = {name: np.flatnonzero(part == name) for name in PARTS}
    _check_empty(found, options)
    if len(rare):
        _note_rare(targets[free], rare, class_names, notes)
    _note_small(found, draw, notes)
    return Parts(
        found["fit"],
        found["calibration"],
        found["test"],
        seed=options.seed,
        stratified=options.stratify and groups is None and times is None,
        own_test=bool(np.any(marks == "test")),
        own_calibration=bool(np.any(marks == "calibration")),
        by_time=times is not None,
    )


def count_shared_rows(keys: npt.ArrayLike, parts: Parts, notes: Notes | None = None) -> dict[tuple[str, str], int]:
    """
    Count the rows of a later part that equal some row of an earlier part.

    Parameters
    ----------
    keys : uint64 array of shape (n_rows,)
        Equal keys stand for equal rows or images.
    parts : Parts
        Which rows are where.
    notes : Notes, optional
        Told of each pair of parts that share rows (SC808).

    Returns
    -------
    dict of (str, str) to int
        For each pair of parts, how many rows of the second one stand in the first one too; pairs without any left out.

    Examples
    --------
    >>> parts = Parts(np.array([0, 1]), np.array([2]), np.array([3, 4]))
    >>> count_shared_rows([7, 8, 9, 7, 7], parts)
    {('fit', 'test'): 2}
    """
    keys = np.asarray(keys)
    counts = {}
    for i, first in enumerate(PARTS):
        for second in PARTS[i + 1 :]:
            shared = int(np.isin(keys[getattr(parts, second)], keys[getattr(parts, first)]).sum())
            if shared:
                counts[first, second] = shared
                if notes is not None:
                    row, equal = ("row", "equals a row") if shared == 1 else ("rows", "equal rows")
                    notes.add("SC808", f"{row} of the {second} part {equal} of the {first} part", count=shared)
    return counts


def _check_options(options: SplitOptions, marks: npt.NDArray[np.str_], both: bool) -> None:
    """Refuse shares out of range and options that the data leave without effect."""
    for name in ("test", "calibration"):
        share = getattr(options, name)
        if share is None:
            continue
        if not 0 <= share < 1:
            raise UsageError(
                "SC207",
                f"--{name} must lie in [0, 1); got {share}",
                where="train",
                hint=f"Pass a share, such as --{name} 0.2",
            )
        count = int(np.sum(marks == name))
        if count:
            message = f"--{name} has no effect: the data bring their own {name} part ({count:,} rows)"
            raise UsageError("SC202", message, hint=f"Leave --{name} out")
    if both:
        raise UsageError("SC203", "--group and --time cannot both decide the parts", hint="Pass one of them")


def _codes_of(groups: npt.ArrayLike, notes: Notes) -> Rows:
    """Return one integer a group; each row without a group gets its own."""
    values = np.asarray(groups)
    if values.dtype.kind == "O":
        values = np.array(["" if value is None or value != value else str(value) for value in values], dtype=np.str_)
    missing = np.isnan(values) if values.dtype.kind == "f" else values.astype(np.str_) == ""
    codes: Rows = np.unique(values, return_inverse=True)[1].astype(np.int64)
    if missing.any():
        codes[missing] = len(codes) + np.arange(int(missing.sum()))
        notes.add("SC823", "rows without a group, each a group of its own", count=int(missing.sum()))
    return codes


def _check_groups(codes: Rows, marks: npt.NDArray[np.str_]) -> None:
    """Refuse own parts that put rows of one group into different parts."""
    parts_of_group = {}
    for mark in PARTS[1:]:
        inside = np.unique(codes[marks == mark])
        parts_of_group[mark] = inside
        others = np.unique(codes[marks != mark])
        cut = np.intersect1d(inside, others)
        if len(cut):
            row = int(np.argmax(codes == cut[0]))
            message = f"rows of one group must stand in one part; {len(cut):,} of the {mark} part stand elsewhere too"
            raise DataError("SC372", message, where=f"row {row + 1}", hint="Mend the split, or leave --group out")


def _parts_to_draw(
    targets: Rows, free: npt.NDArray[np.bool_], marks: npt.NDArray[np.str_], options: SplitOptions, n_classes: int
) -> list[tuple[str, float]]:
    """Return the parts to draw with their shares, test first; small tables are left whole."""
    test, calibration = options.test, options.calibration
    small = len(targets) < SMALL_TABLE_ROWS
    if test is None:
        test = 0.0 if np.any(marks == "test") else TEST_SHARE
        if small and test:
            kept = np.bincount(targets[free & (targets >= 0)], minlength=n_classes)
            test = test if int(np.floor(test * kept[kept >= 2].sum() + 0.5)) >= SMALL_TEST_ROWS else 0.0
    if calibration is None:
        calibration = 0.0 if small or np.any(marks == "calibration") else CALIBRATION_SHARE
    return [(name, share) for name, share in (("test", test), ("calibration", calibration)) if share > 0]


def _rare_classes(targets: Rows, n_classes: int, n_parts: int) -> Rows:
    """Return the classes that occur, but in fewer rows than there are parts."""
    counts = np.bincount(targets[targets >= 0], minlength=n_classes)
    return np.flatnonzero((counts > 0) & (counts < n_parts))


def _apportion(wanted: int, sizes: Rows, leave: int) -> Rows:
    """Share `wanted` among the classes by largest remainder; each class keeps `leave` rows."""
    total = int(sizes.sum())
    if total == 0:
        return np.zeros_like(sizes)
    counts: Rows = wanted * sizes // total
    remainders = wanted * sizes % total
    # Stable: the first class wins a tie, so that the split never depends on a sorting library.
    for index in np.argsort(-remainders, kind="stable")[: wanted - int(counts.sum())]:
        counts[index] += 1
    return np.maximum(np.minimum(counts, sizes - leave), 0)


def _stratified(
    candidates: Rows, targets: Rows, blocks: Rows | None, keys: Keys, wanted: int, n_classes: int, leave: int
) -> Rows:
    """Take from each class, in the order of the keys, its share; rows of one block follow their first row."""
    ordered = candidates[np.argsort(keys[candidates], kind="stable")]
    leaders = ordered if blocks is None else ordered[np.sort(np.unique(blocks[ordered], return_index=True)[1])]
    scaled = wanted if blocks is None else int(np.floor(wanted * len(leaders) / max(len(ordered), 1) + 0.5))
    counts = _apportion(scaled, np.bincount(targets[leaders], minlength=n_classes).astype(np.int64), leave)
    by_class = leaders[np.argsort(targets[leaders], kind="stable")]
    starts = np.searchsorted(targets[by_class], np.arange(n_classes))
    rank = np.arange(len(by_class)) - starts[targets[by_class]]
    taken = by_class[rank < counts[targets[by_class]]]
    return taken if blocks is None else candidates[np.isin(blocks[candidates], blocks[taken])]


def _first_blocks(candidates: Rows, blocks: Rows | None, keys: Keys, wanted: int) -> Rows:
    """Take the first rows in the order of the keys, and what shares a block with them."""
    taken = candidates[np.argsort(keys[candidates], kind="stable")][:wanted]
    return taken if blocks is None else candidates[np.isin(blocks[candidates], blocks[taken])]


def _whole_groups(candidates: Rows, codes: Rows, keys: Keys, wanted: int) -> Rows:
    """Take whole groups in the order of the key of their first row, passing over those that overshoot by most."""
    names, first, sizes = np.unique(codes[candidates], return_index=True, return_counts=True)
    if len(names) < 2 or wanted == 0:
        return candidates[:0]
    taken: list[int] = []
    count = 0
    for group in np.argsort(keys[candidates[first]], kind="stable"):
        size = int(sizes[group])
        if 2 * (count + size - wanted) <= size and count < wanted and len(taken) < len(names) - 1:
            taken.append(int(group))
            count += size
    if not taken:
        taken = [int(np.argmin(sizes))]
    return candidates[np.isin(codes[candidates], names[np.array(taken)])]


def _moments(times: npt.ArrayLike, notes: Notes) -> npt.NDArray[np.float64]:
    """Return the times with those that are missing before all others."""
    moments = np.asarray(times, dtype=np.float64)
    missing = np.isnan(moments)
    if missing.any():
        notes.add("SC823", "rows without a time, taken for the oldest", count=int(missing.sum()))
    return np.where(missing, -np.inf, moments)


def _latest(candidates: Rows, moments: npt.NDArray[np.float64], wanted: int) -> Rows:
    """Take the latest rows; of equal times the later row."""
    return candidates[np.argsort(moments[candidates], kind="stable")][len(candidates) - wanted :]


def _give_back_lost_classes(
    part: npt.NDArray[np.str_], free: npt.NDArray[np.bool_], targets: Rows, blocks: Rows | None, n_classes: int
) -> None:
    """Return rows of classes that lost all their fit rows, with their whole groups."""
    lost = np.bincount(targets[(part == "fit") & (targets >= 0)], minlength=n_classes) == 0
    rows = lost[targets] & free & (targets >= 0)
    part[rows if blocks is None else free & np.isin(blocks, blocks[rows])] = "fit"


def _check_empty(found: dict[str, Rows], options: SplitOptions) -> None:
    """Refuse shares that were asked for and give no row."""
    rows = sum(len(rows) for rows in found.values())
    if not len(found["fit"]):
        message = f"the fit part needs rows; none of the {rows:,} rows is left for it"
        raise DataError("SC371", message, hint="Divide the rows otherwise")
    for name in ("test", "calibration"):
        share = getattr(options, name)
        if share and not len(found[name]):
            message = f"--{name} {share:g} of {rows:,} rows leaves no row for the {name} part"
            raise DataError("SC371", message, hint=f"Pass a larger share, or --{name} 0 for no {name} part")


def _classes_listed(class_names: Sequence[str], indices: Rows, counts: Rows | None = None) -> str:
    """Name the first few classes, with their counts, and say how many more there are."""
    texts = [f'"{shown(class_names[i])}"' + (f" {counts[i]}" if counts is not None else "") for i in indices]
    return first_few(texts, _NAMES_SHOWN)


def _note_rare(targets: Rows, rare: Rows, class_names: Sequence[str], notes: Notes) -> None:
    """Tell of the classes that stay in the fit part."""
    counts = np.bincount(targets[targets >= 0], minlength=len(class_names))
    verb = "class has" if len(rare) == 1 else "classes have"
    listed = _classes_listed(class_names, rare[np.argsort(counts[rare], kind="stable")], counts)
    text = f"{verb} fewer rows than there are parts and stay{'s' * (len(rare) == 1)} in the fit part: {listed}"
    notes.add("SC804", text, count=len(rare))


def _note_small(found: dict[str, Rows], draw: list[tuple[str, float]], notes: Notes) -> None:
    """Tell of parts that are absent or small because there are few rows."""
    n_rows = sum(len(rows) for rows in found.values())
    n_test, n_calibration = len(found["test"]), len(found["calibration"])
    small = n_rows < SMALL_TABLE_ROWS or bool(draw)
    if not n_test and not n_calibration and small:
        text = "rows in all: nothing could be held out, so how good the probabilities are on new rows is not known"
        notes.add("SC821", text, count=n_rows, hint="more rows, or --test-data with rows kept for the test")
    elif not n_calibration and n_rows < SMALL_TABLE_ROWS:
        text = f"rows in all: no calibration part below {SMALL_TABLE_ROWS}, so the probabilities stay as fitted"
        notes.add("SC821", text, count=n_rows, hint="--calibration 0.15 to hold some out all the same")
    elif 0 < n_calibration < FEW_CALIBRATION_ROWS:
        text = "calibration rows: few, so what they say about the probabilities is loose"
        notes.add("SC821", text, count=n_calibration)
