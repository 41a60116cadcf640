"""Lists of images: a text table that names image files, with or without the class and the part of each.

A list has one column whose cells end like the names of image files, at most one other, which holds the classes, and at
most one called part, split or subset. Paths count from the folder that the list is in. Anything wider is a table.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from softclass.data.files import open_binary
from softclass.data.folders import ROLES, Folder, ImageFile, as_label, as_text
from softclass.data.signatures import looks_like_image
from softclass.errors import ImageError, Notes, SoftclassError, TableError, first_few, shown

if TYPE_CHECKING:
    from softclass.data.table import Table

_HEAD_BYTES = 2**16
_ROWS = 100  # that are looked at to tell a list from a table
_NAMED = 5  # missing files named in the error
_ENDINGS = r"\.(?:jpe?g|jpe|jfif|png|gif|bmp|dib|webp|tiff?|p[bgnp]m)"
_IMAGE_NAME = re.compile(rf"{_ENDINGS}\Z", re.IGNORECASE)
_IN_TEXT = re.compile(rf"{_ENDINGS}\"?[ ]*(?:[,;|\t\r\n]|\Z)".encode(), re.IGNORECASE)
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_PART_NAMES = ("part", "split", "subset")
_PARTS = {"fit": "fit", "calibration": "calibration", **ROLES}


@dataclass
class Listed:
    """What a list names."""

    files: list[ImageFile] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    labelled: bool = False


class ListedFiles:
    """The files of a list, by their paths as they stand there."""

    def __init__(self, path: Path) -> None:
        self.name = as_text(path.name)
        self._folder = path.parent

    def path(self, key: str) -> Path:
        """Return where a file is; paths that were written on Windows mean the same here."""
        found = self._folder / key
        return self._folder / key.replace("\\", "/") if "\\" in key and not os.path.exists(found) else found

    def open(self, key: str) -> BinaryIO:
        """Open one file; who names a file by a link means what it leads to."""
        found = self.path(key).resolve()
        return Folder(found.parent, follow_links=True).open(found.name)


@dataclass(frozen=True)
class _Columns:
    """Which column of a list holds what."""

    image: str
    label: str | None
    part: str | None
    header: bool


def is_image_list(path: Path) -> bool:
    """
    Return whether a file is a list of images; nothing but a regular file is ever opened.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "photos.csv"
    ...     _ = path.write_text("file,kind\\nphotos/1.jpg,cat\\nphotos/2.jpg,dog\\n")
    ...     is_image_list(path)
    True
    """
    return path.is_file() and _find_columns(path) is not None


def read_image_list(path: Path, *, labelled: bool | None, target: str | None = None, prefix: str = "") -> Listed:
    """
    Read the names of image files with their classes and parts.

    Parameters
    ----------
    path : Path
        A list, see `is_image_list`.
    labelled : bool or None
        Whether classes are read; None: if there are any.
    target : str, optional
        The column of the classes, if the user names it.
    prefix : str
        Before the names that people see.

    Returns
    -------
    Listed
        The files in the order of the list, and those that are not there.

    Raises
    ------
    TableError
        SC311, if there is no such column of classes; SC312, if a class is missing; SC317, if a cell names no part.
    ImageError
        SC346, if more than one file and more than 1 % are not there.
    """
    from softclass.data.table import ReadOptions, read_table

    columns = _find_columns(path)
    assert columns is not None  # noqa: S101 - the caller asked is_image_list
    table = read_table(path, ReadOptions(header=columns.header), Notes())
    names = _cells(table, columns.image)
    labels = _labels(table, columns, labelled, target)
    parts = _parts(table, columns.part) if labels is not None else None
    store = ListedFiles(path)
    listed = Listed(labelled=labels is not None)
    gone: list[int] = []
    for row, name in enumerate(names):
        if not name or not os.path.exists(store.path(name)):
            gone.append(row)
            listed.skipped.append((f"{prefix}{name or table.place(row)}", "not there"))
            continue
        label = None if labels is None else labels[row]
        listed.files.append(ImageFile(store, name, prefix + name, label, "" if parts is None else parts[row]))
    # One file that was lost never stops the work, however short the list.
    if len(gone) > 1 and 100 * len(gone) > len(names):
        raise _missing(table, names, gone, path)
    return listed


def _find_columns(path: Path) -> _Columns | None:
    """Judge the first rows of a file, if its first bytes make a list likely: most tables are not read twice."""
    if not _IN_TEXT.search(_text_head(path)):
        return None
    # Only what looks like a list costs the import.
    from softclass.data.table import ReadOptions, read_batches

    for header in (True, False):
        try:
            table = next(iter(read_batches(path, ReadOptions(header=header), Notes(), batch_rows=_ROWS)))
        except (SoftclassError, OSError):
            return None  # whoever reads it as a table says what is wrong
        if not any(_IMAGE_NAME.search(name.strip()) for name in table.columns):
            return _judged(table, header=header)
    return None


def _text_head(path: Path) -> bytes:
    """The first bytes of a text file, compressed or not; nothing for anything else."""
    try:
        with open_binary(path) as file:
            head = file.read(_HEAD_BYTES)
    except (SoftclassError, OSError):
        return b""
    return b"" if looks_like_image(head) or b"\0" in head[:1024] else head


def _judged(table: Table, *, header: bool) -> _Columns | None:
    """Which column is what, or None if the rows are no list."""
    naming = [name for name in table.columns if _all(_IMAGE_NAME.search, _cells(table, name))]
    if len(naming) != 1 or not table.is_text:
        return None
    others = [name for name in table.columns if name != naming[0]]
    parts = [
        name for name in others
        if name.strip().casefold() in _PART_NAMES and _all(lambda cell: cell.casefold() in _PARTS, _cells(table, name))
    ]  # fmt: skip
    labels = [name for name in others if name not in parts]
    if len(parts) > 1 or len(labels) > 1:
        return None
    return _Columns(naming[0], labels[0] if labels else None, parts[0] if parts else None, header)


def _all(is_so: Callable[[str], object], cells: Sequence[str]) -> bool:
    """Whether something is so for every cell that is not empty, of which there must be one."""
    given = [cell for cell in cells if cell]
    return bool(given) and all(is_so(cell) for cell in given)


def _cells(table: Table, column: str) -> list[str]:
    """Return the cells of a column without blanks around them; a missing one is empty."""
    return ["" if cell is None else str(cell).strip() for cell in table.columns[column].to_pylist()]


def _labels(table: Table, columns: _Columns, labelled: bool | None, target: str | None) -> list[str] | None:
    """Return the class of each row, or None if classes are not wanted or, where that will do, not there."""
    if labelled is False:
        return None
    where = shown(table.name)
    if target is not None and target != columns.label:
        found = "there is none" if columns.label is None else f'they stand in column "{shown(columns.label)}"'
        message = f'column "{shown(target)}" cannot hold the classes of a list of images; {found}'
        raise TableError("SC311", message, where=where, hint="Leave --target out")
    if columns.label is None:
        if labelled is None:
            return None
        message = f'a list of images to learn from needs a column of classes; got only "{shown(columns.image)}"'
        raise TableError("SC311", message, where=where, hint="Add a column with the class of each image")
    labels = [as_label(cell) for cell in _cells(table, columns.label)]
    empty = [row for row, label in enumerate(labels) if not label]
    if not empty:
        return labels
    if labelled is None:
        return None
    message = f"every image needs a class; got {len(empty):,} empty of {table.n_rows:,}: {_places(table, empty)}"
    raise TableError("SC312", message, where=where, hint="Fill them in, or take these lines out of the list")


def _parts(table: Table, column: str | None) -> list[str] | None:
    """Return the part of each row."""
    if column is None:
        return None
    cells = _cells(table, column)
    for row, cell in enumerate(cells):
        if cell and cell.casefold() not in _PARTS:
            message = f'a part is one of fit, train, validation, calibration and test; got "{shown(cell)}"'
            raise TableError(
                "SC317", message, where=f'{shown(table.name)}, {table.place(row)}, column "{shown(column)}"'
            )
    return [_PARTS.get(cell.casefold(), "") for cell in cells]


def _missing(table: Table, names: Sequence[str], gone: Sequence[int], path: Path) -> ImageError:
    """SC346, with the first that are missing and where they were looked for."""
    first = [f'"{shown(names[row])}" ({table.place(row)})' if names[row] else table.place(row) for row in gone]
    if any(_ADDRESS.match(names[row]) for row in gone):
        hint = "softclass fetches nothing from a network: download the images, and name the files"
    else:
        hint = f'Paths count from the folder of the list, "{shown(as_text(path.parent.resolve().name or "/"))}"'
    return ImageError(
        "SC346",
        f"the images that a list names must be there; {len(gone):,} of {len(names):,} are not: "
        f"{first_few(first, _NAMED)}",
        where=shown(table.name),
        hint=hint,
    )


def _places(table: Table, rows: Sequence[int]) -> str:
    return first_few([table.place(row) for row in rows], _NAMED)
