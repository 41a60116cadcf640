"""Labelled rows for training, of a table or of images: what goes into the graph, and the truth beside it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from softclass._typing import Columns, Pixels
from softclass.data.blocks import MOST_ROWS
from softclass.data.column_spill import DistantColumn, encode_to_disk, text_blocks
from softclass.data.images import ImageOptions, ImageSet, ImageSpec, is_image_source, read_images
from softclass.data.pixels import pixel_keys
from softclass.data.preprocessing import row_keys
from softclass.data.schema import (
    Label,
    Schema,
    SchemaOptions,
    column_values,
    encode_columns,
    encode_targets,
    infer_schema,
)
from softclass.data.split import own_parts
from softclass.data.table import ReadOptions, Table, read_table
from softclass.errors import Notes, TableError, UsageError, nearest, shown

Inputs = Columns | Pixels
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Examples:
    """Rows with their truth.

    Attributes
    ----------
    name : str
        What messages call the data.
    inputs : dict of columns, or uint8 pixels of shape (n_rows, height, width, channels)
        What the graph takes.
    targets : int64 array of shape (n_rows,)
        Class numbers; -1 is a class that is not among `classes`.
    classes : tuple of Label
        In the order of the probabilities.
    table : Table or None
        The rows as they were read, for messages and for the report.
    images : ImageSet or None
        Likewise for images.
    schema : Schema or None
        What the columns are; None for images.
    own_parts : array of str or None
        The part that the data themselves give each row, "" where they do not.
    groups, times, weights : arrays of shape (n_rows,) or None
        Cells of the columns named for grouping, for order in time, and for weighting.
    row_numbers : int64 array of shape (n_rows,) or None
        Number of each row in its source, counted from 1; None where they are all there in order.
    """

    name: str
    inputs: Inputs
    targets: Int64
    classes: tuple[Label, ...]
    table: Table | None = None
    images: ImageSet | None = None
    schema: Schema | None = None
    own_parts: npt.NDArray[Any] | None = None
    groups: npt.NDArray[Any] | None = None
    times: npt.NDArray[np.float64] | None = None
    weights: npt.NDArray[np.float64] | None = None
    row_numbers: Int64 | None = None

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.targets)

    @property
    def spec(self) -> ImageSpec | None:
        """Size and kind of the images, None for a table."""
        return self.images.spec if self.images is not None else None

    def class_names(self) -> list[str]:
        """Names of the classes in the order of the probabilities."""
        return [label.name for label in self.classes]

    def class_counts(self) -> dict[str, int]:
        """Number of rows of each class."""
        counts = np.bincount(self.targets[self.targets >= 0], minlength=len(self.classes))
        return dict(zip(self.class_names(), counts.tolist(), strict=True))

    def take(self, rows: Int64) -> Examples:
        """Return the given rows."""
        return replace(
            self,
            inputs=chosen_inputs(self.inputs, rows),
            targets=self.targets[rows],
            table=None if self.table is None else self.table.take(rows),
            images=None if self.images is None else take_images(self.images, rows),
            own_parts=None if self.own_parts is None else self.own_parts[rows],
            groups=None if self.groups is None else self.groups[rows],
            times=None if self.times is None else self.times[rows],
            weights=None if self.weights is None else self.weights[rows],
            row_numbers=rows + 1 if self.row_numbers is None else self.row_numbers[rows],
        )

    def place(self, row: int) -> str:
        """Where a row stands in the user's data: its line, its number or its file."""
        if self.images is not None:
            return self.images.files[row]
        assert self.table is not None  # noqa: S101 - one of the two is there, for type checkers
        return self.table.place(row)

    @cached_property
    def content_keys(self) -> npt.NDArray[np.uint64]:
        """One hash a row of what the graph sees; equal rows have equal keys."""
        return pixel_keys(self.inputs) if isinstance(self.inputs, np.ndarray) else row_keys(self.inputs)

    def with_classes(self, classes: tuple[Label, ...]) -> Examples:
        """Return the same rows with the truth counted in another list of classes."""
        number = {label: index for index, label in enumerate(classes)}
        moved = np.array([*(number.get(label, -1) for label in self.classes), -1], dtype=np.int64)
        schema = None if self.schema is None else replace(self.schema, classes=classes)
        return replace(self, targets=moved[self.targets], classes=classes, schema=schema)


def chosen_inputs(inputs: Inputs, rows: Int64) -> Inputs:
    """Return some rows of columns or pixels, where they are: what lies on disk stays there."""
    if isinstance(inputs, np.ndarray):
        return inputs[rows]
    return {name: _chosen(column, rows) for name, column in inputs.items()}


def _chosen(column: Any, rows: Int64) -> Any:
    return column.of(rows) if isinstance(column, DistantColumn) else column[rows]


def take_inputs(inputs: Inputs, rows: Int64) -> Inputs:
    """Return some rows of columns or pixels, in memory."""
    if isinstance(inputs, np.ndarray):
        return inputs[rows]
    return {name: column[rows] for name, column in inputs.items()}


def picked(array: npt.NDArray[Any] | None, rows: Int64) -> npt.NDArray[Any] | None:
    """Return some rows of what not all data have: weights, groups, times."""
    return None if array is None else array[rows]


def take_images(images: ImageSet, rows: Int64) -> ImageSet:
    """Return some images of a set."""
    return replace(
        images,
        pixels=images.pixels[rows],
        labels=None if images.labels is None else tuple(images.labels[row] for row in rows),
        files=tuple(images.files[row] for row in rows),
        parts=None if images.parts is None else images.parts[rows],
    )


def read_table_examples(
    data: Any,
    target: Any,
    read: ReadOptions,
    kinds: SchemaOptions,
    notes: Notes,
    *,
    group: str | None = None,
    time: str | None = None,
    split_column: str | None = None,
    sample_weight: str | npt.ArrayLike | None = None,
    memory_limit: float = math.inf,
) -> Examples:
    """
    Read a table, infer what its columns are and encode them; nothing is fitted here.

    Cells of files that take more than `memory_limit` bytes, raw and encoded, are kept on disk.
    """
    if target is not None and not isinstance(target, str):
        data, target = _with_target_column(data, target), "target"
    table = read_table(data, read, notes, limit=memory_limit)
    weight_column = sample_weight if isinstance(sample_weight, str) else None
    named = {"group": group, "time": time, "split_column": split_column, "sample_weight": weight_column}
    for option, name in named.items():
        if name is not None:
            _require_column(table, name, option)
    # The column that orders the rows in time is a feature like any other; the other three are not.
    reserved = tuple(name for name in (group, split_column, weight_column) if name is not None)
    schema, table = infer_schema(table, target, replace(kinds, reserved=reserved), read, notes)
    weights = None
    if weight_column is not None:
        weights = _numbers_of(table, weight_column, read, "SC316")
        weights = checked_weights(weights, table.n_rows, table.name, place=table.place, column=weight_column)
    elif sample_weight is not None:
        try:
            given = np.asarray(sample_weight, dtype=np.float64)
        except (TypeError, ValueError):
            message = "sample weights must be a column or an array of numbers"
            raise TableError("SC316", message, where=shown(table.name)) from None
        weights = checked_weights(given, table.n_rows, table.name)
    return Examples(
        name=table.name,
        inputs=_encoded(table, schema, notes),
        targets=encode_targets(table, schema, notes),
        classes=schema.classes,
        table=table,
        schema=schema,
        own_parts=None if split_column is None else own_parts(_texts(table, split_column), split_column, notes),
        groups=None if group is None else _texts(table, group),
        times=None if time is None else _numbers_of(table, time, read, "SC371"),
        weights=weights,
    )


def _encoded(table: Table, schema: Schema, notes: Notes) -> Columns:
    """Return the columns of the graph, where the table is."""
    return encode_to_disk(table, schema, notes) if table.on_disk else encode_columns(table, schema, notes)


def read_more_rows(
    data: Any, like: Examples, read: ReadOptions, notes: Notes, *, memory_limit: float = math.inf
) -> Examples:
    """Read further labelled rows of the same form, such as a test file of their own."""
    if like.schema is not None:
        dialect = like.table.dialect if like.table is not None else None
        table = read_table(data, replace(read, tie_break=dialect), notes, limit=memory_limit)
        targets = encode_targets(table, like.schema, notes)
        inputs: Inputs = _encoded(table, like.schema, notes)
        return replace(like, name=table.name, inputs=inputs, targets=targets, table=table, own_parts=None,
                       groups=None, times=None, weights=None, row_numbers=None)  # fmt: skip
    assert like.images is not None  # noqa: S101 - examples are a table or images
    images = read_images(data, ImageOptions(resize=like.images.spec.resize), notes, spec=like.images.spec)
    if images.labels is None:
        raise UsageError("SC203", "a test set needs labels; got images without classes", where=shown(images.name))
    targets = _image_targets(images, like.classes, notes)
    return replace(like, name=images.name, inputs=images.pixels, targets=targets, images=images, own_parts=None)


def read_image_examples(data: Any, target: Any, options: ImageOptions, notes: Notes) -> Examples:
    """Read a set of labelled images."""
    images = read_images(data, options, notes, targets=target)
    if images.labels is None:
        raise UsageError(
            "SC203",
            "training needs a class for each image; got images without classes",
            where=shown(images.name),
            hint="Put them into one folder a class, or pass target= with the labels",
        )
    seen = [label for label, part in _with_parts(images) if part != "test"]
    kind = images.label_type
    names = sorted(set(seen), key=int if kind == "integer" else None)
    if len(names) < 2:
        raise TableError(
            "SC313",
            f"at least two classes are needed; found only {shown(names[0]) if names else 'none'}",
            where=shown(images.name),
            hint="Put the images of each class into a folder of its own",
        )
    classes = tuple(Label(name, kind) for name in names)
    return Examples(
        name=images.name,
        inputs=images.pixels,
        targets=_image_targets(images, classes, notes),
        classes=classes,
        images=images,
        own_parts=images.parts,
    )


def _with_parts(images: ImageSet) -> Sequence[tuple[str, str]]:
    labels = images.labels or ()
    parts = images.parts if images.parts is not None else np.full(len(labels), "")
    return list(zip(labels, parts.tolist(), strict=True))


def _image_targets(images: ImageSet, classes: tuple[Label, ...], notes: Notes) -> Int64:
    number = {label.name: index for index, label in enumerate(classes)}
    targets = np.array([number.get(label, -1) for label in images.labels or ()], dtype=np.int64)
    unknown = int((targets < 0).sum())
    if unknown:
        names = sorted({label for label in images.labels or () if label not in number})[:3]
        notes.add("SC810", f"images of classes unknown to the model: {', '.join(map(shown, names))}", count=unknown)
    return targets


def checked_weights(
    weights: npt.NDArray[np.float64],
    n_rows: int,
    where: str,
    *,
    place: Callable[[int], str] | None = None,
    column: str | None = None,
) -> npt.NDArray[np.float64]:
    """Return the weights if they are finite, not negative and not all zero; raise SC316 otherwise."""
    if weights.shape != (n_rows,):
        raise TableError(
            "SC316", f"one sample weight a row is needed; got shape {weights.shape} for {n_rows:,} rows", where=where
        )
    wrong = ~np.isfinite(weights) | (weights < 0)
    if wrong.any():
        row = int(wrong.argmax())
        there = f"{shown(where)}, {place(row) if place else f'row {row + 1:,}'}"
        raise TableError(
            "SC316",
            f"sample weights must be finite and not negative; got {weights[row]:g} "
            f"({int(wrong.sum()):,} of {n_rows:,} are not)",
            where=there if column is None else f'{there}, column "{shown(column)}"',
        )
    if not weights.any():
        there = shown(where) if column is None else f'{shown(where)}, column "{shown(column)}"'
        raise TableError("SC316", "sample weights must not all be zero; all of them are", where=there)
    return weights


def fingerprint(examples: Examples) -> str:
    """SHA-256 of what the graph sees and of the truth, in order: equal data give equal fingerprints."""
    digest = hashlib.sha256()
    if isinstance(examples.inputs, np.ndarray):
        digest.update(repr(examples.inputs.shape).encode())
        digest.update(np.ascontiguousarray(examples.inputs).tobytes())
    else:
        for name, column in examples.inputs.items():
            digest.update(name.encode())
            if column.dtype == object:
                for texts in text_blocks(column):
                    digest.update(texts)
            else:
                for first in range(0, len(column), MOST_ROWS):
                    digest.update(np.ascontiguousarray(column[first : first + MOST_ROWS], dtype="<f8").data)
    names = examples.class_names()
    digest.update("\x1f".join(names).encode("utf-8", "surrogatepass"))
    digest.update(np.ascontiguousarray(examples.targets, dtype="<i8").tobytes())
    return digest.hexdigest()


def _with_target_column(data: Any, target: Any) -> Mapping[str, Any]:
    """Columns of an array beside an array of labels."""
    if not isinstance(data, np.ndarray) or data.ndim != 2:
        raise UsageError(
            "SC203",
            "an array of labels goes with an array of features of shape (n, d) or with images; for other data pass "
            "the name of the target column",
            where="train",
        )
    try:
        labels = np.asarray(target)
    except ValueError:  # lists of several lengths
        raise UsageError("SC203", "one label a row is needed; got lists of different lengths", where="train") from None
    if labels.shape != (len(data),):
        raise UsageError(
            "SC203", f"one label a row is needed; got {labels.shape} for data of shape {data.shape}", where="train"
        )
    return {**{f"x{index}": data[:, index] for index in range(data.shape[1])}, "target": labels}


def _require_column(table: Table, name: str, option: str) -> None:
    if name not in table.columns:
        close = [f'"{shown(column)}"' for column in nearest(name, table.columns)]
        raise TableError(
            "SC321",
            f'--{option.replace("_", "-")} names column "{shown(name)}", which the table does not have',
            where=shown(table.name),
            hint=f"Did you mean {' or '.join(close)}?" if close else "Columns are named exactly as in the header",
        )


def _texts(table: Table, name: str) -> npt.NDArray[Any]:
    """A column that is no feature, as text; a missing cell is ""."""
    return np.array(["" if cell is None else str(cell) for cell in table.columns[name].to_pylist()], dtype=object)


def _numbers_of(table: Table, name: str, read: ReadOptions, code: str) -> npt.NDArray[np.float64]:
    """A column that is no feature, as numbers, dates in seconds; no cell may be missing."""
    try:
        values = column_values(table, name, read)
    except TableError as error:
        # To call the cell missing or a category, as for a feature, would not help.
        raise TableError(error.code, error.message, where=error.where, hint="Mend the cell") from None
    missing = np.isnan(values)
    if missing.any():
        raise TableError(
            code,
            f"every row needs a value; missing in {int(missing.sum()):,} of {table.n_rows:,}",
            where=f'{shown(table.name)}, {table.place(int(missing.argmax()))}, column "{shown(name)}"',
        )
    return values


def is_images(data: Any) -> bool:
    """Whether data are images rather than a table."""
    return is_image_source(data)
