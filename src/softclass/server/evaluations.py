"""Rows of known class with what a model says of them: the rows of ``--data``, or the tested rows of a run."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from softclass._typing import Pixels
from softclass.data.images import ImageOptions, is_image_source, read_images
from softclass.data.pixels import pixel_keys
from softclass.data.preprocessing import Preprocessing, row_keys
from softclass.data.row_order import row_order
from softclass.data.table import ReadOptions
from softclass.errors import ImageError, Notes, TableError, shown
from softclass.model.manifest import Manifest
from softclass.model.model import Model
from softclass.model.predictions import leading_columns, read_predictions
from softclass.model.rows import RowBlock, feeds_of, read_rows
from softclass.model.run_files import CONFIG_FILE, MODEL_FILE, PREDICTIONS_FILE
from softclass.report.thumbnails import sheet_png, shrunk
from softclass.server.largest_logits import KEPT, largest_logits
from softclass.trust.prediction_sets import row_uniforms

MAX_LOGITS = 2_000_000  # of an evaluation; beyond, the largest of each row, or a seeded sample of the rows
MAX_CELLS = 2_000_000  # of text
MAX_PICTURES = 20_000
MAX_PICTURE_BYTES = 2**24  # of all larger pictures together; beyond, smaller ones
PICTURE_SIDES = (64, 32)
SEED = 0
TEST, CALIBRATION, LEARNT = 0, 1, 2
ROLES = {"test": TEST, "validation": CALIBRATION, "calibration": CALIBRATION}

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Shown:
    """Rows to show: answers of the model, truth, and the rows themselves.

    Attributes
    ----------
    name : str
        What the page calls them.
    classes : tuple of str
        In the order of the logits.
    logits : float32 array of shape (n, n_classes)
        After temperature.
    targets : int32 array of shape (n,)
        Class numbers, -1 for a class unknown to the model.
    uniforms : float64 array of shape (n,)
        A number in [0, 1) that depends on what the row holds alone.
    roles : uint8 array of shape (n,)
        0 test, 1 calibration.
    total : int
        Rows that there were, of which these are all or a seeded sample.
    places : tuple of str or None
        Where each row stands.
    pixels : uint8 array of shape (n, height, width, channels) or None
        Small pictures.
    cells : dict of str to list of str, or None
        The columns of a table as text.
    numbers : dict of str to float64 array of shape (n,)
        The columns of numbers that the model uses, NaN where missing.
    """

    name: str
    classes: tuple[str, ...]
    logits: npt.NDArray[np.float32]
    targets: npt.NDArray[np.int32]
    uniforms: npt.NDArray[np.float64]
    roles: npt.NDArray[np.uint8]
    total: int
    places: tuple[str, ...] | None = None
    pixels: Pixels | None = None
    cells: dict[str, list[str]] | None = None
    numbers: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)

    def take(self, rows: Integers) -> Shown:
        """Return some of the rows."""
        return Shown(
            self.name, self.classes, self.logits[rows], self.targets[rows], self.uniforms[rows], self.roles[rows],
            self.total, None if self.places is None else tuple(self.places[row] for row in rows.tolist()),
            None if self.pixels is None else self.pixels[rows],
            None if self.cells is None else {n: [v[row] for row in rows.tolist()] for n, v in self.cells.items()},
            {name: values[rows] for name, values in self.numbers.items()},
        )  # fmt: skip

    def without_examples(self) -> Shown:
        """Return the answers and the truth alone, without anything of the rows themselves."""
        return Shown(self.name, self.classes, self.logits, self.targets, self.uniforms, self.roles, self.total)

    def to_dict(self) -> dict[str, Any]:
        """Return the answer that a page asks for."""
        rows = None
        if self.cells is not None:
            rows = {"columns": list(self.cells), "cells": list(map(list, zip(*self.cells.values(), strict=True)))}
        whole = self.logits.size <= MAX_LOGITS or len(self.classes) <= KEPT + 2
        return {
            "name": self.name,
            "n": len(self.targets),
            "total": self.total,
            "classes": list(self.classes),
            **({"logits": self.logits} if whole else largest_logits(self.logits, self.targets)),
            "targets": self.targets,
            "role": self.roles,
            "u": self.uniforms,
            "thumbnails": None if self.pixels is None else thumbnails_of(self.pixels),
            "rows": rows,
            "places": None if self.places is None else list(self.places),
        }


def bounded(found: Shown, notes: Notes) -> Shown:
    """Return the rows, or a seeded sample of them in their order, which is noted, if a page cannot hold them all."""
    n, columns = len(found.targets), max(1, len(found.cells or ()))
    width = min(len(found.classes), KEPT + 2)  # the page adds the own class and the rest
    most = min(MAX_LOGITS // width, MAX_CELLS // columns, n if found.pixels is None else MAX_PICTURES)
    if n <= most:
        return found
    notes.add("SC853", f"rows of {n:,} are shown: a seeded sample, since a page cannot hold them all", count=most)
    return found.take(sample_of(n, most))


def sample_of(n_rows: int, most: int) -> Integers:
    """
    Return a seeded sample of row numbers in ascending order.

    Examples
    --------
    >>> sample_of(10, 3).tolist()
    [1, 5, 7]
    """
    found: Integers = np.sort(np.argsort(row_order(n_rows, SEED))[:most])
    return found


def thumbnails_of(pixels: Pixels) -> dict[str, Any]:
    """
    Return small pictures as one PNG, row after row.

    Parameters
    ----------
    pixels : uint8 array of shape (n, height, width, channels)
        One size.

    Returns
    -------
    dict
        ``height``, ``width`` of one, ``columns`` in a row, and ``png``, the bytes of the file.

    Examples
    --------
    >>> thumbnails_of(np.zeros((5, 8, 8, 1), dtype=np.uint8))["columns"]
    3
    """
    columns = max(1, int(np.ceil(np.sqrt(len(pixels)))))
    png = sheet_png(pixels, columns)
    height, width = pixels.shape[1:3]
    return {"height": height, "width": width, "columns": columns, "png": np.frombuffer(png, dtype=np.uint8)}


def shown_data(model: Model, data: str, notes: Notes, record: Path | None = None) -> Shown:
    """
    Read labelled rows and ask the model about them.

    Parameters
    ----------
    model : Model
        Whose logits are shown.
    data : path
        A table, or images.
    notes : Notes
        Collects what was filled, skipped or guessed.
    record : Path, optional
        The tested rows of the run, as `recorded` finds them. If `data` is what the run learnt from, only these are
        shown.

    Returns
    -------
    Shown
        The rows, or a seeded sample. Images that their source calls a part of the training are left out.

    Raises
    ------
    DataError
        SC3xx, if the rows do not fit the model or have no labels.
    """
    tested = None if record is None or not _learnt_from(record, data) else _tested_places(record)
    if model.manifest.task == "images":
        found = _shown_images(model, data, notes, tested)
    else:
        blocks = [_block(model, rows) for rows in _labelled(data, model.manifest, notes)]
        found = _joined(blocks, Path(data).name)
        if tested is not None:
            rows = np.array([row for row in range(len(found.targets)) if str(row + 1) in tested], dtype=np.int64)
            _tell_learnt(len(found.targets) - len(rows), notes)
            found = replace(found.take(rows), total=len(rows))
        found = bounded(found, notes)
    if not len(found.targets):
        raise TableError("SC301", "there are no rows to show", where=shown(data))
    return found


def recorded(path: str | Path) -> Path | None:
    """
    Return the file of the tested rows of the run that a model belongs to, if it has one.

    Examples
    --------
    >>> recorded("no-such-run") is None
    True
    """
    given = Path(path)
    run = given if given.is_dir() else given.absolute().parent
    if not given.is_dir() and (given.name != MODEL_FILE or not (run / CONFIG_FILE).is_file()):
        return None
    return run / PREDICTIONS_FILE if (run / PREDICTIONS_FILE).is_file() else None


def shown_record(model: Model, path: Path, notes: Notes) -> Shown:
    """
    Return the tested rows of a run as its training recorded them: images without pictures, tables with their cells.

    Parameters
    ----------
    model : Model
        Of the same run.
    path : Path
        The file of its predictions.
    notes : Notes
        Told of a sample.

    Returns
    -------
    Shown
        All rows, or a seeded sample.
    """
    classes = tuple(label.name for label in model.manifest.classes)
    logits, names, leading = read_predictions(path, classes)
    number = {name: index for index, name in enumerate(classes)}
    cells = {name: _texts(column.to_pylist()) for name, column in leading.items()}
    is_table = "file" not in cells
    places = [f"row {row}" for row in cells.pop("row")] if is_table else cells.pop("file")
    contents = zip(*cells.values(), strict=True) if cells else ((place,) for place in places)
    found = Shown(
        name="test",
        classes=classes,
        logits=np.ascontiguousarray(logits, dtype=np.float32),
        targets=np.array([number.get(name, -1) for name in names], dtype=np.int32),
        uniforms=row_uniforms("\0".join(content).encode("utf-8", "surrogatepass") for content in contents),
        roles=np.zeros(len(names), dtype=np.uint8),
        total=len(names),
        places=tuple(places),
        cells=cells if is_table else None,
        numbers=_recorded_numbers(model.manifest, cells) if is_table else {},
    )
    return bounded(found, notes)


def _labelled(data: str, manifest: Manifest, notes: Notes) -> Iterator[RowBlock]:
    try:
        yield from read_rows(data, manifest, ReadOptions(), notes, labelled=True)
    except TableError as error:
        if error.code == "SC311":
            hint = "The panels Mistakes, Reliability and Sets compare the model with the true classes"
            raise TableError(error.code, error.message, where=error.where, hint=hint) from None
        raise


def _learnt_from(record: Path, data: str) -> bool:
    """Whether a run learnt from these data, by the paths that its configuration keeps."""
    try:
        config = tomllib.loads((record.parent / CONFIG_FILE).read_text(encoding="utf-8"))
        paths = [Path(path).resolve() for path in config["train"]["data"]]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return Path(data).resolve() in paths


def _tested_places(record: Path) -> frozenset[str]:
    """Numbers of the rows, or names of the images, that a run was tested on."""
    columns = leading_columns(record)
    name = "file" if "file" in columns else "row"
    return frozenset(map(str, columns[name].to_pylist()))


def _tell_learnt(count: int, notes: Notes) -> None:
    if count:
        notes.add("SC853", "rows that the model learnt from or was calibrated on are not shown", count=count)


def _shown_images(model: Model, data: str, notes: Notes, tested: frozenset[str] | None) -> Shown:
    """Read images, leave those out that are parts of the training, and ask the model about the rest."""
    manifest = model.manifest
    spec, preprocessing = manifest.image_spec(), manifest.preprocessing()
    if Path(data).exists() and not is_image_source(data):
        raise ImageError("SC345", "the model takes images; got none", where=shown(data))
    images = read_images(data, ImageOptions(), notes, spec=spec)
    number = {label.name: index for index, label in enumerate(manifest.classes)}
    targets = np.array([number.get(label, -1) for label in images.labels or ()], dtype=np.int32)
    roles = np.zeros(len(targets), dtype=np.uint8)
    if images.parts is not None:
        roles = np.array([ROLES.get(part, LEARNT) for part in images.parts], dtype=np.uint8)
    if tested is not None:
        # A run of several sources puts the name of the source before the place.
        source = Path(data).name
        named = [{place, f"{source} {place}", f"{source}/{place}"} for place in images.files]
        roles = np.array([LEARNT if tested.isdisjoint(names) else TEST for names in named], dtype=np.uint8)
    rows = np.flatnonzero(roles != LEARNT)
    _tell_learnt(len(roles) - len(rows), notes)
    pixels = images.pixels[rows]
    found = Shown(
        name=Path(data).name,
        classes=tuple(label.name for label in manifest.classes),
        logits=model.session.run(feeds_of(preprocessing, pixels)).logits,
        targets=targets[rows],
        uniforms=_uniforms(pixel_keys(pixels)),
        roles=roles[rows],
        total=len(rows),
        places=tuple(images.files[row] for row in rows.tolist()),
        pixels=pixels,
    )
    found = bounded(found, notes)
    whole_bytes = len(found.targets) * PICTURE_SIDES[0] ** 2 * spec.channels
    side = PICTURE_SIDES[0] if whole_bytes <= MAX_PICTURE_BYTES else PICTURE_SIDES[1]
    return found if found.pixels is None else replace(found, pixels=shrunk(found.pixels, side))


def _block(model: Model, rows: RowBlock) -> Shown:
    """Ask the model about a block of rows of a table and keep of them what a page shows."""
    assert rows.targets is not None  # noqa: S101 - asked for
    assert rows.table is not None  # noqa: S101 - of a table
    return Shown(
        name="",
        classes=tuple(label.name for label in model.manifest.classes),
        logits=model.session.run(rows.feeds).logits,
        targets=rows.targets.astype(np.int32),
        uniforms=_uniforms(row_keys(_columns(rows.feeds))),
        roles=np.zeros(rows.n_rows, dtype=np.uint8),
        total=rows.n_rows,
        places=tuple(map(rows.table.place, range(rows.n_rows))),
        cells={name: _texts(column.to_pylist()) for name, column in rows.table.columns.items()},
        numbers=_numbers(model.manifest, rows.feeds),
    )


def _joined(blocks: Sequence[Shown], name: str) -> Shown:
    """Put the blocks of a table together."""
    first = blocks[0]
    return Shown(
        name=name,
        classes=first.classes,
        logits=np.concatenate([block.logits for block in blocks]),
        targets=np.concatenate([block.targets for block in blocks]),
        uniforms=np.concatenate([block.uniforms for block in blocks]),
        roles=np.concatenate([block.roles for block in blocks]),
        total=sum(block.total for block in blocks),
        places=tuple(place for block in blocks for place in block.places or ()),
        cells={name: [cell for block in blocks for cell in (block.cells or {})[name]] for name in first.cells or ()},
        numbers={name: np.concatenate([block.numbers[name] for block in blocks]) for name in first.numbers},
    )


def _uniforms(keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.float64]:
    return row_uniforms(key.tobytes() for key in keys.astype("<u8"))


def _columns(feeds: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """Inputs of the graph as single columns, whatever the layout."""
    found = {}
    for name, values in feeds.items():
        for at, column in enumerate(np.atleast_2d(values.T)):
            found[f"{name}/{at}"] = np.ascontiguousarray(column)
    return found


def _numbers(manifest: Manifest, feeds: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[np.float64]]:
    """The columns of numbers by their name in the table."""
    preprocessing = manifest.preprocessing()
    assert isinstance(preprocessing, Preprocessing)  # noqa: S101 - of a table
    numeric = [column for column in manifest.schema().columns if column.kind != "category"]
    if preprocessing.layout == "columns":
        return {c.name: feeds[c.input].reshape(-1) for c in numeric if c.kind == "number"}
    return {c.name: feeds["numbers"][:, at] for at, c in enumerate(numeric) if c.kind == "number"}


def _recorded_numbers(manifest: Manifest, cells: dict[str, list[str]]) -> dict[str, npt.NDArray[np.float64]]:
    """Columns of numbers among recorded cells; a cell that is no plain number counts as missing."""
    found = {}
    for column in manifest.schema().columns:
        if column.kind == "number" and column.name in cells:
            found[column.name] = np.array([_number(cell) for cell in cells[column.name]])
    return found


def _number(cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        return np.nan
    return value if np.isfinite(value) else np.nan


def _texts(values: Sequence[Any]) -> list[str]:
    return ["" if value is None else str(value) for value in values]
