"""From a table to its schema: which column is the target, what the classes are, what each other column is."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt

from softclass.data.column import KINDS, Column, Dropped, Label, Schema, SchemaOptions, graph_input
from softclass.data.conform import encode_columns
from softclass.data.kinds import judge_column, split_na_values
from softclass.data.table import ReadOptions, Table
from softclass.data.target import encode_targets, find_target, has_target, infer_classes
from softclass.errors import Notes, TableError, UsageError, nearest, shown

__all__ = [
    "KINDS",
    "Column",
    "Dropped",
    "Label",
    "Schema",
    "SchemaOptions",
    "column_values",
    "encode_columns",
    "encode_targets",
    "graph_input",
    "has_target",
    "infer_schema",
]

_OPTIONS = ("drop", "id", *KINDS)


def infer_schema(
    table: Table, target: str | None, options: SchemaOptions, read: ReadOptions, notes: Notes
) -> tuple[Schema, Table]:
    """
    Find out what the columns of a table are.

    Parameters
    ----------
    table : Table
        Any table.
    target : str or None
        The column of the labels; None: the only one that bears a usual name.
    options : SchemaOptions
        What the user says about the columns.
    read : ReadOptions
        Texts that mean missing, and how dates are written.
    notes : Notes
        Told of everything that is left out, merged or kept against appearance.

    Returns
    -------
    schema : Schema
        Target, classes, columns.
    table : Table
        Without the rows that have no label, if that was asked for.

    Raises
    ------
    TableError
        SC301, SC307 to SC309, SC311 to SC315, SC321, SC322, SC332.
    UsageError
        SC202, SC203, SC207, if options have no effect or contradict each other.

    Examples
    --------
    >>> import pyarrow as pa
    >>> columns = {"size": pa.chunked_array([["1.5", "2", "7"]]), "y": pa.chunked_array([["a", "b", "a"]])}
    >>> schema, _ = infer_schema(Table("t", columns, 3, True, None), "y", SchemaOptions(), ReadOptions(), Notes())
    >>> schema.columns[0].kind, [label.name for label in schema.classes]
    ('number', ['a', 'b'])
    """
    if not table.n_rows:
        raise TableError("SC301", "the table has no rows", where=shown(table.name), hint="A header alone is not enough")
    target = find_target(table, target, options)
    _check_options(table, target, options)
    na_values = split_na_values(read.na_values, table)
    classes: tuple[Label, ...] = ()
    if target is not None:
        # Words that mean missing everywhere do not apply to labels: a class may be called NA.
        own = frozenset(na_values[target]) - frozenset(na_values[""])
        classes, table = infer_classes(table, target, options, notes, own)

    columns: list[Column] = []
    dropped: list[Dropped] = []
    taken: set[str] = set()
    for name in table.columns:
        if name == target or name in options.id:
            continue
        if name in options.drop or name in options.reserved:
            reason = "left out by option" if name in options.drop else "used for groups, parts or weights"
            dropped.append(Dropped(name, reason, ""))
            continue
        graph_name = graph_input(name, taken)
        kind = options.forced_kind(name)
        found = judge_column(table, name, graph_name, kind, na_values[name], read.date_format, notes)
        if isinstance(found, Column):
            columns.append(found)
            taken.add(graph_name)
        else:
            dropped.append(found)
    _check_usable(table, columns, dropped)
    if read.date_format is not None and all(column.date_format != read.date_format for column in columns):
        message = f'--date-format "{shown(read.date_format)}" has no effect: no column is written so'
        raise UsageError("SC202", message, hint="--datetime COLUMN shows the first cell that is not")
    return Schema(target, classes, tuple(columns), options.id, tuple(dropped), table.dialect), table


def column_values(table: Table, name: str, read: ReadOptions) -> npt.NDArray[np.float64]:
    """
    Read one column as dates, in seconds, or else as numbers, whatever role it plays as a feature.

    Parameters
    ----------
    table : Table
        Holds the column.
    name : str
        Its name.
    read : ReadOptions
        Texts that mean missing, and how dates are written.

    Returns
    -------
    float64 array of shape (n_rows,)
        NaN where missing.

    Raises
    ------
    TableError
        SC307 to SC309, SC332, if the cells are neither.

    Examples
    --------
    >>> import pyarrow as pa
    >>> table = Table("t", {"when": pa.chunked_array([["1970-01-02", ""]])}, 2, True, None)
    >>> column_values(table, "when", ReadOptions())
    array([86400., nan])
    """
    na_values = split_na_values(read.na_values, table)[name]
    try:
        found = judge_column(table, name, name, "datetime", na_values, read.date_format, Notes())
    except TableError as error:
        if error.code != "SC322":
            raise
        found = judge_column(table, name, name, "number", na_values, read.date_format, Notes())
    alone = Schema(None, (), (found,) if isinstance(found, Column) else ())
    values: npt.NDArray[np.float64] = encode_columns(table, alone, Notes())[name]
    return values


def _check_options(table: Table, target: str | None, options: SchemaOptions) -> None:
    """Refuse options that name no column, or one column twice."""
    named = [name for option in _OPTIONS for name in dict.fromkeys(getattr(options, option))]
    for option in _OPTIONS:
        for name in getattr(options, option):
            if name not in table.columns:
                close = nearest(name, table.columns)
                message = f'--{option} names column "{shown(name)}", which the table does not have'
                hint = f'Did you mean "{shown(close[0])}"?' if close else "Columns are named exactly as in the header"
                raise TableError("SC321", message, where=shown(table.name), hint=hint)
    for name, count in Counter([*named, *(() if target is None else (target,))]).items():
        if count > 1:
            given = [f"--{option}" for option in _OPTIONS if name in getattr(options, option)]
            given += ["--target"] if name == target else []
            message = f'column "{shown(name)}" cannot be named by {" and ".join(given)}'
            raise UsageError("SC203", message, hint="Name it once")
    if target in options.reserved:
        message = f'the target "{shown(target)}" cannot also hold the groups, the parts or the weights of the rows'
        raise UsageError("SC203", message, hint="Name another column")


def _check_usable(table: Table, columns: list[Column], dropped: list[Dropped]) -> None:
    """Refuse a table of which nothing is left."""
    if columns:
        return
    reasons = "; ".join(f"{shown(column.name)}: {column.reason}" for column in dropped[:5])
    more = f"; and {len(dropped) - 5:,} more" if len(dropped) > 5 else ""
    message = f"at least one column must be usable; {reasons}{more}" if dropped else "there is no column but the target"
    # What the user left out has no code.
    by_us = any(column.code for column in dropped)
    hint = "--category or --number keeps a column that would be left out" if by_us else ""
    raise TableError("SC315", message, where=shown(table.name), hint=hint)
