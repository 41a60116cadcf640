"""What kind of column it is: each judged by its distinct cells, in a fixed order of tests."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from softclass.data import cells
from softclass.data.column import Column, Dropped, shell_word
from softclass.data.column_cells import Cells, distinct_cells, fault_of, number_error
from softclass.data.table import Table
from softclass.errors import Notes, TableError, UsageError, nearest, shown

ALMOST, MOSTLY, ID_SHARE, ID_ROWS = 0.95, 0.5, 0.95, 50
TEXT_LENGTH, TEXT_SHARE, TEXT_WORDS, FEW_TEXTS = 30, 0.5, 4, 20
LARGEST_INTEGER = 2.0**53
_ID_NAME = re.compile(r"(.*[ _.\-])?id|index|no\.?|编号|序号", re.IGNORECASE)
_CAMEL_ID = re.compile(r".*[a-z]I[dD]")
_CODE = r"^\s*[+-]?(0\d+|\d{16,400})\s*$"
_SHOWN = 3

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


def judge_column(
    table: Table, name: str, graph_name: str, kind: str | None, na_values: tuple[str, ...], date_format: str | None,
    notes: Notes,
) -> Column | Dropped:  # fmt: skip
    """
    Return what a column is, or why it is left out.

    Parameters
    ----------
    table : Table
        Holds the column.
    name, graph_name : str
        Its name in the table and in the graph.
    kind : str or None
        The kind that the user gives it; None: found out.
    na_values : tuple of str
        Texts that the user calls missing.
    date_format : str or None
        How dates are written, if the user says so.
    notes : Notes
        Told of what is left out (SC805, SC813, SC814) or kept as a category (SC812, SC819).

    Returns
    -------
    Column or Dropped
        The facts.

    Raises
    ------
    TableError
        SC307 to SC309, SC322, SC332.

    Examples
    --------
    >>> table = Table("t", {"a": pa.chunked_array([["1", "2.5", "NA"]])}, 3, True, None)
    >>> judge_column(table, "a", "a", None, (), None, Notes())
    Column(name='a', input='a', kind='number', missing=1, integer=False, minimum=1.0, maximum=2.5, ...)
    """
    column = table.columns[name]
    type_kind = "text" if table.is_text_column(name) else cells.type_kind(column.type)
    if type_kind == "other":
        message = f"columns of type {shown(column.type)} cannot be used"
        hint = f"--drop {shell_word(name)} leaves it out"
        raise TableError("SC332", message, where=f'{shown(table.name)}, column "{shown(name)}"', hint=hint)
    if type_kind == "text" or kind == "category":
        judged = distinct_cells(table, name, frozenset({"", *na_values}), date_format)
        if kind is not None:
            return _forced(judged, graph_name, kind, na_values, from_numbers=type_kind in ("integer", "float"))
        return _text(judged, graph_name, na_values, notes, judge_numbers=table.is_text_column(name))
    return _typed(table, name, graph_name, type_kind, kind, notes)


def _text(
    judged: Cells, graph_name: str, na_values: tuple[str, ...], notes: Notes, *, judge_numbers: bool
) -> Column | Dropped:
    """Try the kinds in their order on cells that are text."""
    empty = cells.is_missing(judged.values, judged.tokens)
    n_distinct = _n_distinct(judged, ~empty)
    if n_distinct <= 1:
        return _constant(judged.name, judged.texts(~empty, 1), notes)
    if judge_numbers:
        numbers = judged.numbers()
        found = None
        # No date and no truth value is a number, so the usual column is spared the other two tests.
        if numbers[2].any() or judged.date_format is not None:
            found = _boolean(judged, graph_name, na_values) or _datetime(judged, graph_name, na_values, notes)
        found = found or _number(judged, graph_name, na_values, notes, numbers)
        if found is not None:
            return found
    return _category(judged, graph_name, na_values, notes)


def _n_distinct(judged: Cells, chosen: npt.NDArray[np.bool_]) -> int:
    """Return the number of distinct cells among the chosen ones."""
    values = judged.values.filter(pa.array(chosen))
    return int(pc.count_distinct(values).as_py()) if len(values) else 0


def _constant(name: str, values: list[str], notes: Notes) -> Dropped:
    """Leave a column with no or one distinct value out."""
    reason = f'the only value is "{shown(values[0])}"' if values else "it holds no value"
    notes.add("SC805", f"constant, left out: {reason}", column=name)
    return Dropped(name, f"constant: {reason}", "SC805")


def _boolean(judged: Cells, graph_name: str, na_values: tuple[str, ...]) -> Column | None:
    """Return a boolean column if the cells are one pair of truth values."""
    if len(judged.values) > 100:
        return None
    missing = cells.is_missing(judged.values, judged.all_tokens)
    pair = cells.boolean_pair([text.strip() for text in judged.texts(~missing)])
    if pair is None:
        return None
    n_missing = int(judged.counts[missing].sum())
    return Column(judged.name, graph_name, "boolean", n_missing, true=pair[0], false=pair[1], na_values=na_values)


def _datetime(judged: Cells, graph_name: str, na_values: tuple[str, ...], notes: Notes) -> Column | Dropped | None:
    """Return a datetime column if all cells are dates."""
    date_format = _date_format(judged)
    if date_format is None:
        return None
    seconds, missing, _ = cells.text_to_seconds(judged.values, date_format=date_format, missing=judged.all_tokens)
    if _is_constant(seconds):
        return _constant(judged.name, judged.texts(~missing, 1), notes)
    return _datetime_column(judged.name, graph_name, seconds, int(judged.counts[missing].sum()), date_format, na_values)


def _date_format(judged: Cells) -> str | None:
    """Return how the dates are written; the user's format is tried first."""
    if judged.date_format is not None:
        _, missing, bad = cells.text_to_seconds(
            judged.values, date_format=judged.date_format, missing=judged.all_tokens
        )
        if not bad.any() and not missing.all():
            return judged.date_format
    date_format = cells.find_date_format(judged.values, missing=judged.all_tokens)
    if date_format == "unclear":
        first = judged.texts(~cells.is_missing(judged.values, judged.all_tokens), 1)[0]
        raise TableError(
            "SC309",
            f'day and month must be told apart; "{shown(first)}" may be either way round, and no day is above 12',
            where=judged.where(first),
            hint=f"--date-format %d/%m/%Y (or as the dates are written), or --category {shell_word(judged.name)}",
        )
    return date_format


def _datetime_column(
    name: str, graph_name: str, seconds: Float64, n_missing: int, date_format: str, na_values: tuple[str, ...]
) -> Column:
    """Return the facts of a datetime column."""
    low, high = _range(seconds)
    return Column(
        name, graph_name, "datetime", n_missing, minimum=low, maximum=high, date_format=date_format, na_values=na_values
    )


def _number(
    judged: Cells, graph_name: str, na_values: tuple[str, ...], notes: Notes, numbers: cells.Judged
) -> Column | Dropped | None:
    """Return a number column if all cells are numbers; refuse one in which nearly all are."""
    values, missing, bad = numbers
    n_present, n_bad = int(judged.counts[~missing].sum()), int(judged.counts[bad].sum())
    if not n_present:
        return None
    if n_bad:
        faults = {fault_of(judged, text) for text in judged.texts(bad, 1000)}
        if 1 - n_bad / n_present >= ALMOST or faults == {"SC308"}:
            raise number_error(judged, bad, n_bad, n_present)
        if 1 - n_bad / n_present >= MOSTLY:
            _note_mixed(judged, bad, n_bad, n_present, notes)
        return None
    # Codes come first: two that no float64 tells apart are two categories, not a constant.
    codes = _codes(judged) & ~missing
    if codes.any() and _n_distinct(judged, ~missing) > 1:
        return _category(judged, graph_name, na_values, notes, n_codes=int(judged.counts[codes].sum()))
    if _is_constant(values):
        return _constant(judged.name, judged.texts(~missing, 1), notes)
    _note_underflows(judged, values, notes)
    repeated = np.repeat(values[~missing], judged.counts[~missing])
    return _number_column(judged.name, graph_name, repeated, judged.table.n_rows - n_present, na_values, notes)


def _note_mixed(judged: Cells, bad: npt.NDArray[np.bool_], n_bad: int, n_present: int, notes: Notes) -> None:
    """Tell of a column that would be one of numbers if some cells were mended or called missing."""
    words = judged.texts(bad)
    listed = ", ".join(f'"{shown(word)}"' for word in words[:_SHOWN]) + (", …" if len(words) > _SHOWN else "")
    text = f"numbers among {n_present:,} cells: no column of numbers because of {n_bad:,} others: {listed}"
    hint = "Mend these cells"
    if len(words) == 1:
        hint = f"--na-values {shell_word(f'{judged.name}={words[0].strip()}')} if it means missing"
    notes.add("SC819", text, column=judged.name, count=n_present - n_bad, hint=hint)


def _note_underflows(judged: Cells, values: Float64, notes: Notes) -> None:
    """Tell of numbers such as 1e-400, which no float64 holds."""
    if (chosen := values == 0).any():
        texts = judged.values.filter(pa.array(chosen))
        small = pc.match_substring_regex(texts, "^[^eE]*[1-9]").to_numpy()
        if small.any():
            text = "numbers too small for a 64-bit float: read as 0"
            notes.add("SC826", text, column=judged.name, count=int(judged.counts[chosen][small].sum()))


def _codes(judged: Cells) -> npt.NDArray[np.bool_]:
    """Return which numbers are written like codes: 007, or too large for a whole float64."""
    codes: npt.NDArray[np.bool_] = np.array(pc.match_substring_regex(judged.values, _CODE).to_numpy(), dtype=bool)
    for i in np.flatnonzero(codes):
        digits = str(judged.values[int(i)]).strip().lstrip("+-")
        codes[i] = digits[0] == "0" or int(digits) > LARGEST_INTEGER
    return codes


def _number_column(
    name: str, graph_name: str, values: Float64, n_missing: int, na_values: tuple[str, ...], notes: Notes
) -> Column | Dropped:
    """Return the facts of a number column, unless its numbers count or name the rows."""
    integer = bool(np.all(values == np.floor(values)) and np.all(np.abs(values) <= LARGEST_INTEGER))
    if integer and len(np.unique(values)) == len(values):
        low, high = _range(values)
        counts_rows = high is not None and low is not None and high - low == len(values) - 1 and len(values) >= ID_ROWS
        if counts_rows or _ID_NAME.fullmatch(name) or _CAMEL_ID.fullmatch(name):
            how = f"{low:.0f} to {high:.0f} in steps of 1" if counts_rows else "each number occurs once"
            return _id_like(name, how, "number", notes)
    low, high = _range(values)
    return Column(name, graph_name, "number", n_missing, integer, low, high, na_values=na_values)


def _id_like(name: str, how: str, kind: str, notes: Notes) -> Dropped:
    """Leave a column out that names the rows."""
    hint = f"--{kind} {shell_word(name)} to use it"
    notes.add("SC813", f"id-like, left out: {how}", column=name, hint=hint)
    return Dropped(name, f"id-like: {how}", "SC813")


def _category(
    judged: Cells, graph_name: str, na_values: tuple[str, ...], notes: Notes, *, n_codes: int = 0
) -> Column | Dropped:
    """Return a category column, unless its texts name the rows or are sentences."""
    missing = cells.is_missing(judged.values, judged.tokens)
    n_present, n_distinct = int(judged.counts[~missing].sum()), _n_distinct(judged, ~missing)
    if n_present >= ID_ROWS and n_distinct > ID_SHARE * n_present:
        return _id_like(judged.name, f"{n_distinct:,} distinct of {n_present:,} cells", "category", notes)
    if not n_codes and _is_text(judged, missing, n_present, n_distinct):
        hint = f"--category {shell_word(judged.name)} to use each text as a category"
        notes.add(
            "SC814",
            f"free text, left out: {n_distinct:,} distinct of {n_present:,} cells",
            column=judged.name,
            hint=hint,
        )
        return Dropped(judged.name, f"free text: {n_distinct:,} distinct of {n_present:,} cells", "SC814")
    if n_codes:
        hint = f"--number {shell_word(judged.name)} to read them as numbers"
        text = "numbers with leading zeros or above 2^53: kept as categories"
        notes.add("SC819", text, column=judged.name, count=n_codes, hint=hint)
    _note_tokens(judged, missing, notes)
    return Column(judged.name, graph_name, "category", judged.table.n_rows - n_present, na_values=na_values)


def _is_text(judged: Cells, missing: npt.NDArray[np.bool_], n_present: int, n_distinct: int) -> bool:
    """Return whether the cells are sentences: long and mostly different, or of four words on average."""
    weights = judged.counts[~missing]
    values = judged.values.filter(pa.array(~missing))
    lengths = pc.utf8_length(values).to_numpy()
    if n_distinct > TEXT_SHARE * n_present and np.average(lengths, weights=weights) > TEXT_LENGTH:
        return True
    words = pc.add(pc.count_substring_regex(pc.utf8_trim_whitespace(values), r"\s+"), 1).to_numpy()
    # A handful of phrases, such as levels of education, are categories however long they are.
    return n_distinct > FEW_TEXTS and bool(np.average(words, weights=weights) >= TEXT_WORDS)


def _note_tokens(judged: Cells, missing: npt.NDArray[np.bool_], notes: Notes) -> None:
    """Tell of cells such as NA that stay categories."""
    chosen = cells.is_missing(judged.values, cells.MISSING_TOKENS) & ~missing
    if chosen.any():
        tokens = list(dict.fromkeys(text.strip() for text in judged.texts(chosen)))
        listed = ", ".join(f'"{shown(token)}"' for token in tokens)
        word = "a category" if len(tokens) == 1 else "categories"
        hint = f"--na-values {shell_word(f'{judged.name}={tokens[0]}')} if they mean missing"
        count = int(judged.counts[chosen].sum())
        notes.add("SC812", f"cells {listed} kept as {word}", column=judged.name, count=count, hint=hint)


def _forced(judged: Cells, graph_name: str, kind: str, na_values: tuple[str, ...], *, from_numbers: bool) -> Column:
    """Return a column of the kind that the user gave it."""
    n_rows = judged.table.n_rows
    if kind == "category":
        n_missing = int(judged.counts[cells.is_missing(judged.values, judged.tokens)].sum())
        integer = from_numbers or _all_plain_numbers(judged)
        return Column(judged.name, graph_name, "category", n_missing, integer, na_values=na_values)
    if kind == "number":
        values, missing, bad = judged.numbers()
        n_present = int(judged.counts[~missing].sum())
        if bad.any():
            raise number_error(judged, bad, int(judged.counts[bad].sum()), n_present)
        low, high = _range(values)
        integer = bool(np.all((values == np.floor(values)) | missing))
        return Column(judged.name, graph_name, "number", n_rows - n_present, integer, low, high, na_values=na_values)
    missing = cells.is_missing(judged.values, judged.all_tokens)
    n_missing = int(judged.counts[missing].sum())
    if kind == "boolean":
        true, false = _forced_pair(judged, missing)
        return Column(judged.name, graph_name, "boolean", n_missing, true=true, false=false, na_values=na_values)
    date_format = _date_format(judged)
    if date_format is None:
        first = judged.texts(~missing, 1)
        message = f'must hold dates; got "{shown(first[0])}"' if first else "must hold dates; it is empty"
        hint = "--date-format says how they are written, for example %d.%m.%Y"
        raise TableError("SC322", message, where=judged.where(first[0] if first else None), hint=hint)
    seconds, _, _ = cells.text_to_seconds(judged.values, date_format=date_format, missing=judged.all_tokens)
    return _datetime_column(judged.name, graph_name, seconds, n_missing, date_format, na_values)


def _all_plain_numbers(judged: Cells) -> bool:
    """Return whether all cells are numbers, none of them written like a code."""
    _, missing, bad = judged.numbers()
    return not bad.any() and not missing.all() and not _codes(judged).any()


def _forced_pair(judged: Cells, missing: npt.NDArray[np.bool_]) -> tuple[str, str]:
    """Return the texts for true and false in a column that the user calls boolean."""
    texts = list(dict.fromkeys(text.strip().casefold() for text in judged.texts(~missing, 1000)))
    for true, false in (*cells.BOOLEAN_PAIRS, ("1", "0")):
        if texts and set(texts) <= {true, false}:
            return true, false
    listed = ", ".join(f'"{shown(text)}"' for text in texts[:_SHOWN]) + (", …" if len(texts) > _SHOWN else "")
    raise TableError(
        "SC322",
        f"a boolean column holds one pair such as true and false, yes and no, 1 and 0; got {listed or 'no value'}",
        where=judged.where(),
        hint=f"--category {shell_word(judged.name)} keeps the texts",
    )


def _typed(
    table: Table, name: str, graph_name: str, type_kind: str, kind: str | None, notes: Notes
) -> Column | Dropped:
    """Return what a column of a given type is."""
    column = table.columns[name]
    where = f'{shown(table.name)}, column "{shown(name)}"'
    if type_kind == "datetime":
        _check_forced(kind, "datetime", where)
        values, missing = cells.typed_to_seconds(column)
    else:
        _check_forced("number" if kind == "boolean" else kind, "number", where)
        values, missing = cells.typed_to_numbers(column)
    n_missing, present = int(missing.sum()), values[~missing]
    if kind is None and _is_constant(values):
        return _constant(name, [f"{value:g}" for value in present[:1]], notes)
    if type_kind == "datetime":
        return _datetime_column(name, graph_name, values, n_missing, "iso", ())
    infinite = np.flatnonzero(np.isinf(values) & ~missing)
    if len(infinite):
        message = f"must be a finite number; got {values[infinite[0]]} ({len(infinite):,} of {len(present):,} cells)"
        place = table.place(int(infinite[0]))
        raise TableError("SC308", message, where=f'{shown(table.name)}, {place}, column "{shown(name)}"',
                         hint="Make such cells missing, or leave the column out")  # fmt: skip
    if kind == "boolean" or (type_kind == "boolean" and kind is None):
        if not np.isin(present, (0.0, 1.0)).all():
            raise TableError("SC322", "a boolean column of numbers holds 0 and 1 only", where=where)
        true, false = ("true", "false") if type_kind == "boolean" else ("1", "0")
        return Column(name, graph_name, "boolean", n_missing, true=true, false=false)
    if kind == "number":
        low, high = _range(present)
        return Column(name, graph_name, "number", n_missing, bool(np.all(present == np.floor(present))), low, high)
    large = np.abs(present) > LARGEST_INTEGER
    if type_kind == "integer" and large.any():
        judged = distinct_cells(table, name, frozenset({""}), None)
        return _category(judged, graph_name, (), notes, n_codes=int(large.sum()))
    return _number_column(name, graph_name, present, n_missing, (), notes)


def _check_forced(kind: str | None, natural: str, where: str) -> None:
    """Refuse a kind that a typed column cannot have."""
    if kind not in (None, natural):
        message = f"its type says {natural}; it cannot be a {kind} column"
        raise TableError("SC322", message, where=where, hint="Change its type, or leave the option out")


def _is_constant(values: Float64) -> bool:
    """Return whether there is no or one distinct number."""
    low, high = _range(values)
    return low == high


def _range(values: Float64) -> tuple[float | None, float | None]:
    """Return the smallest and the largest number, None and None if there is none."""
    present = values[~np.isnan(values)]
    return (float(present.min()), float(present.max())) if len(present) else (None, None)


def split_na_values(given: tuple[str, ...], table: Table) -> dict[str, tuple[str, ...]]:
    """
    Return for each column the texts that the user calls missing.

    Parameters
    ----------
    given : tuple of str
        Each "TOKEN", for all columns, or "COLUMN=TOKEN".
    table : Table
        Knows the columns.

    Returns
    -------
    dict of str to tuple of str
        Every column of the table; "" holds those for all.

    Raises
    ------
    UsageError
        SC207, if what stands before "=" is no column.

    Examples
    --------
    >>> table = Table("t", {"a": pa.chunked_array([["1"]]), "b": pa.chunked_array([["1"]])}, 1, True, None)
    >>> split_na_values(("-9", "b=x"), table)
    {'': ('-9',), 'a': ('-9',), 'b': ('-9', 'x')}
    """
    everywhere: list[str] = []
    own: dict[str, list[str]] = {}
    for token in given:
        column = max((name for name in table.columns if token.startswith(f"{name}=")), key=len, default=None)
        if column is not None:
            own.setdefault(column, []).append(token[len(column) + 1 :].strip())
        elif "=" in token:
            close = nearest(token.split("=")[0], table.columns)
            hint = f"Did you mean {shown(close[0])}=…?" if close else ""
            message = f'--na-values "{shown(token)}" names no column of {shown(table.name)}'
            raise UsageError("SC207", message, hint=hint)
        else:
            everywhere.append(token.strip())
    columns = {name: tuple(dict.fromkeys([*everywhere, *own.get(name, [])])) for name in table.columns}
    return {"": tuple(everywhere), **columns}
