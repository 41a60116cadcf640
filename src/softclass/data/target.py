"""The target: which column holds the labels, what the classes are, and the class of each row."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from itertools import groupby

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from softclass.data import cells
from softclass.data.column import Label, Schema, SchemaOptions, shell_word
from softclass.data.table import Table
from softclass.errors import Notes, TableError, first_few, first_quoted, nearest, shown

TARGET_NAMES = frozenset({"target", "label", "class", "y", "species", "category", "类别", "标签"})
MAX_FRACTIONAL_LABELS, MAX_INTEGER_LABELS = 20, 1000
_FEW_VALUES = 50
_SHOWN = 5

Codes = npt.NDArray[np.int64]


def find_target(table: Table, target: str | None, options: SchemaOptions) -> str | None:
    """
    Return the name of the target column.

    Parameters
    ----------
    table : Table
        Any table.
    target : str or None
        The name that the user gave; None: the only usual name in the table.
    options : SchemaOptions
        Columns that are ids, reserved or to be dropped are not considered.

    Returns
    -------
    str or None
        None only if no target is needed.

    Raises
    ------
    TableError
        SC311, with the nearest names or the columns that hold few distinct values.

    Examples
    --------
    >>> table = Table("t", {"a": pa.chunked_array([["1"]]), "Class": pa.chunked_array([["x"]])}, 1, True, None)
    >>> find_target(table, None, SchemaOptions())
    'Class'
    """
    if target is not None:
        if target in table.columns:
            return target
        close = [f'"{shown(name)}"' for name in nearest(target, table.columns)]
        hint = f"Did you mean {' or '.join(close)}?" if close else "--target NAME names the column of the labels"
        if not close and len(table.columns) == 1 and table.is_text:
            hint = "If this is several columns, pass --delimiter with the character between them"
        message = f'target column "{shown(target)}" is missing; found {first_quoted(list(table.columns))}'
        raise TableError("SC311", message, where=shown(table.name), hint=hint)
    excluded = {*options.drop, *options.id, *options.reserved}
    candidates = [name for name in table.columns if name not in excluded]
    usual = [name for name in candidates if name.casefold() in TARGET_NAMES]
    if len(usual) == 1:
        return usual[0]
    if not options.needs_target and not usual:
        return None
    few = [name for name in candidates if 2 <= _distinct_count(table.columns[name]) <= _FEW_VALUES]
    found = f"several look like it: {first_quoted(usual)}" if usual else "no column has a usual name for it"
    listed = f"; columns with few distinct values: {first_quoted(few)}" if few and not usual else ""
    message = f"the target column must be named; {found}{listed}"
    words = [name for name in few if _has_words(table.columns[name])]  # classes are seldom numbers
    example = (usual or words or few or candidates or ["NAME"])[-1]
    hint = f"Pass --target, for example --target {shell_word(example)}"
    raise TableError("SC311", message, where=shown(table.name), hint=hint)


def infer_classes(
    table: Table, target: str, options: SchemaOptions, notes: Notes, na_values: frozenset[str] = frozenset()
) -> tuple[tuple[Label, ...], Table]:
    """
    Find the classes, and leave rows without a label out if that was asked for.

    Parameters
    ----------
    table : Table
        Any table.
    target : str
        A column of it.
    options : SchemaOptions
        What to do about missing labels and measurements.
    notes : Notes
        Told of labels that are nearly equal (SC806) and of rows left out (SC811).
    na_values : frozenset of str
        Labels that mean missing.

    Returns
    -------
    classes : tuple of Label
        By value if all are whole numbers, else by code point.
    table : Table
        All rows that have a label.

    Raises
    ------
    TableError
        SC312 to SC314, SC332.

    Examples
    --------
    >>> table = Table("t", {"y": pa.chunked_array([["10", "9", "9"]])}, 3, True, None)
    >>> [label.name for label in infer_classes(table, "y", SchemaOptions(), Notes())[0]]
    ['9', '10']
    """
    labels, codes, kind = _labels_of(table, target)
    codes = np.where(np.isin(codes, [i for i, label in enumerate(labels) if label in na_values]), -1, codes)
    missing = np.flatnonzero(codes < 0)
    where = f'{shown(table.name)}, column "{shown(target)}"'
    if len(missing):
        if not options.drop_missing_target:
            raise TableError(
                "SC312", _unlabelled(table, missing), where=where, hint="--drop-missing-target leaves these rows out"
            )
        notes.add("SC811", "rows without a label left out", column=target, count=len(missing))
        table, codes = table.take(np.flatnonzero(codes >= 0)), codes[codes >= 0]
    present = [labels[i] for i in np.unique(codes).tolist()]
    if len(present) < 2:
        found = f'only "{shown(present[0])}"' if present else "none"
        message = f"at least 2 classes are needed; found {found}"
        raise TableError("SC313", message, where=where, hint="--target names another column")
    if not options.force_classes:
        _check_discrete(present, len(codes), where)
    _note_alike(present, target, notes)
    if all(_whole(label) is not None for label in present):
        present.sort(key=lambda label: (_whole(label), label))
    else:
        present.sort()
    return tuple(Label(label, kind) for label in present), table


def has_target(table: Table, schema: Schema) -> bool:
    """
    Return whether the table holds the labels.

    Parameters
    ----------
    table : Table
        Any table.
    schema : Schema
        Knows the name of the target.

    Returns
    -------
    bool
        Whether there is a column of that name.

    Examples
    --------
    >>> has_target(Table("t", {}, 0, True, None), Schema("y", (), ()))
    False
    """
    return schema.target in table.columns


def encode_targets(table: Table, schema: Schema, notes: Notes) -> Codes:
    """
    Return the class of each row.

    Parameters
    ----------
    table : Table
        With the target column.
    schema : Schema
        Knows the classes.
    notes : Notes
        Told of labels that the schema does not know (SC810).

    Returns
    -------
    int64 array of shape (n_rows,)
        Index into the classes; -1 for a label that the schema does not know.

    Raises
    ------
    TableError
        SC311, if the column is absent; SC312, if a label is missing.

    Examples
    --------
    >>> schema = Schema("y", (Label("A"), Label("B")), ())
    >>> encode_targets(Table("t", {"y": pa.chunked_array([["B", " A"]])}, 2, True, None), schema, Notes())
    array([1, 0])
    """
    name = find_target(table, schema.target or "", SchemaOptions()) or ""
    labels, codes, _ = _labels_of(table, name)
    missing = np.flatnonzero(codes < 0)
    if len(missing):
        where = f'{shown(table.name)}, column "{shown(name)}"'
        raise TableError(
            "SC312", _unlabelled(table, missing), where=where, hint="Leave these rows out, or fill their labels in"
        )
    types = {label.type for label in schema.classes}
    numbers = {label.name: number for number, label in enumerate(schema.classes)}
    if types == {"boolean"}:
        labels = [label.casefold() for label in labels]
    known = np.array([numbers.get(label, -1) for label in labels] or [0], dtype=np.int64)
    targets = known[codes] if len(codes) else codes
    unknown = int((targets < 0).sum())
    if unknown:
        names = first_quoted([label for label in labels if label not in numbers])
        notes.add("SC810", f"rows of classes that the model does not know: {names}", column=name, count=unknown)
    return targets


def _labels_of(table: Table, target: str) -> tuple[list[str], Codes, str]:
    """Return distinct labels, trimmed and in NFC, each row's index among them (-1 missing), and their type."""
    column = table.columns[target]
    kind = "text" if table.is_text_column(target) else cells.type_kind(column.type)
    if kind == "other":
        message = f"labels cannot be {shown(column.type)}; they are text, whole numbers or true and false"
        raise TableError("SC332", message, where=f'{shown(table.name)}, column "{shown(target)}"')
    # Floats go through their digits, so that 1.0 is the label 1 and 0.5 stays what it is.
    texts = column if kind == "text" else cells.typed_to_text(column)
    encoded = pa.chunked_array(texts).combine_chunks().dictionary_encode() if len(texts) else None
    if encoded is None:
        return [], np.zeros(0, dtype=np.int64), "string"
    values = [unicodedata.normalize("NFC", str(text).strip()) for text in encoded.dictionary.to_pylist()]
    if kind == "boolean":
        values = [value.casefold() for value in values]
    labels = list(dict.fromkeys(value for value in values if value))
    numbers = {label: number for number, label in enumerate(labels)} | {"": -1}
    lookup = np.array([*(numbers[value] for value in values), -1], dtype=np.int64)
    codes = lookup[encoded.indices.fill_null(len(values)).to_numpy(zero_copy_only=False)]
    if kind == "boolean":
        return labels, codes, "boolean"
    whole = kind in ("integer", "float") and all(_whole(label) is not None for label in labels)
    return labels, codes, "integer" if whole else "string"


def _whole(label: str) -> int | None:
    """Return the whole number that a label is, or None."""
    digits = label[1:] if label[:1] in "+-" else label
    return int(label) if digits.isascii() and digits.isdigit() and len(digits) <= 400 else None


def _check_discrete(labels: Sequence[str], n_rows: int, where: str) -> None:
    """Refuse labels that look like measurements, or of which nearly each row has its own."""
    values, _, bad = cells.text_to_numbers(pa.chunked_array([list(labels)]), missing=frozenset())
    few = ", ".join(f'"{shown(label)}"' for label in labels[:3])
    hint = "softclass does not do regression; --force-classes takes each value for a class"
    if not bad.any():
        fractions = bool(np.any(values != np.floor(values)))
        if fractions and len(labels) > MAX_FRACTIONAL_LABELS:
            message = f"the target looks like a measurement: {len(labels):,} distinct numbers with fractions: {few}, …"
            raise TableError("SC314", message, where=where, hint=hint)
        if not fractions and len(labels) > max(MAX_INTEGER_LABELS, n_rows / 10):
            message = f"the target looks like a count: {len(labels):,} distinct whole numbers in {n_rows:,} rows"
            raise TableError("SC314", message, where=where, hint=hint)
    if n_rows >= 100 and len(labels) > n_rows / 2:
        message = f"the target looks like a name or a key: {len(labels):,} distinct labels in {n_rows:,} rows: {few}, …"
        raise TableError(
            "SC314", message, where=where, hint="--force-classes takes each label for a class all the same"
        )


def _note_alike(labels: Sequence[str], target: str, notes: Notes) -> None:
    """Tell of labels that differ in case, blanks or width only."""
    folded = sorted((" ".join(unicodedata.normalize("NFKC", label).casefold().split()), label) for label in labels)
    groups = [[label for _, label in group] for _, group in groupby(folded, key=lambda pair: pair[0])]
    alike = [" and ".join(f'"{shown(label)}"' for label in group) for group in groups if len(group) > 1]
    if alike:
        listed = first_few(alike, _SHOWN)
        text = f"labels that differ only in case, blanks or width are kept apart: {listed}"
        notes.add("SC806", text, column=target, hint="mend them in the data if they mean the same")


def _distinct_count(column: pa.ChunkedArray) -> int:
    """Return the number of distinct cells, or one more than counts as few; 0 for a type without labels."""
    if cells.type_kind(column.type) == "other":
        return 0
    found = cells.distinct(cells.typed_to_text(column), _FEW_VALUES)
    return _FEW_VALUES + 1 if found is None else len(found[0])


def _has_words(column: pa.ChunkedArray) -> bool:
    """Return whether the first cells of a column are no numbers."""
    texts = cells.typed_to_text(column.slice(0, _FEW_VALUES))
    return bool(cells.text_to_numbers(texts, missing=cells.MISSING_TOKENS)[2].all())


def _unlabelled(table: Table, missing: npt.NDArray[np.int64]) -> str:
    """Say which rows have no label."""
    places = ", ".join(table.place(int(row)) for row in missing[:_SHOWN])
    more = f" and {len(missing) - _SHOWN:,} more" if len(missing) > _SHOWN else ""
    return f"every row needs a label; {len(missing):,} of {table.n_rows:,} are empty: {places}{more}"
