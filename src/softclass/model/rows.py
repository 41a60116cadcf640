"""New rows for a model: read block by block, matched to its columns by name, ready for the graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from softclass._typing import Columns, Pixels
from softclass.data.images import ImageSet, is_image_source, names_images, read_image_batches
from softclass.data.pixels import Constants, PixelPreprocessing
from softclass.data.preprocessing import Preprocessing, count_unseen
from softclass.data.schema import encode_columns, encode_targets, has_target
from softclass.data.table import ReadOptions, Table, read_batches
from softclass.errors import ImageError, Notes, TableError, UsageError, first_few, nearest, shown
from softclass.model.manifest import Manifest

TABLE_BATCH_ROWS = 8192
IMAGE_BATCH_ROWS = 256


@dataclass(frozen=True, eq=False)
class RowBlock:
    """A block of rows.

    Attributes
    ----------
    feeds : dict of arrays
        What the graph takes.
    n_rows, first_row : int
        Rows in this block, and rows before it in its source.
    targets : int64 array of shape (n_rows,) or None
        Class numbers where the truth is known; -1 is a class the model does not know.
    target_names : sequence of str or None
        The labels as the data give them.
    table, images : Table or ImageSet, or None
        The block as it was read.
    """

    feeds: dict[str, npt.NDArray[Any]]
    n_rows: int
    first_row: int
    targets: npt.NDArray[np.int64] | None = None
    target_names: Sequence[str | None] | None = None
    table: Table | None = None
    images: ImageSet | None = None

    def leading(self, ids: Sequence[str], keep: str | Sequence[str]) -> dict[str, Any]:
        """Return the columns that stand before the predictions: ids and kept ones, or the number or file of the row."""
        if self.images is not None:
            return {"file": list(self.images.files)}
        assert self.table is not None  # noqa: S101 - a block is a table or images
        names = list(ids)
        if not isinstance(keep, str | Sequence):
            raise UsageError("SC207", f"--keep must be none, all or names of columns; got {shown(repr(keep))}")
        if keep == "all":
            names += [name for name in self.table.columns if name not in names]
        elif keep != "none":
            names += [name for name in ([keep] if isinstance(keep, str) else keep) if name not in names]
        absent = [name for name in names if name not in self.table.columns]
        if absent:
            raise TableError("SC321", f'column "{shown(absent[0])}" is missing', where=shown(self.table.name))
        found = {name: self.table.columns[name] for name in names}
        return found if ids else {"row": np.arange(self.first_row + 1, self.first_row + self.n_rows + 1), **found}

    def cells(self, name: str) -> list[str]:
        """Return the cells of a column as text, for grouping; a missing cell is ""."""
        if self.table is None or name not in self.table.columns:
            known = [] if self.table is None else list(self.table.columns)
            raise TableError(
                "SC321",
                f'column "{shown(name)}" is missing; there are {", ".join(map(shown, known[:12])) or "none"}',
                where=shown(self.table.name if self.table is not None else "images"),
            )
        return ["" if cell is None else str(cell) for cell in self.table.columns[name].to_pylist()]


def feeds_of(preprocessing: Constants, inputs: Columns | Pixels) -> dict[str, npt.NDArray[Any]]:
    """Arrange columns or pixels as the inputs of the graph.

    Examples
    --------
    >>> import numpy as np
    >>> from softclass.data.pixels import Constants, PixelPreprocessing
    >>> list(feeds_of(PixelPreprocessing(mean=(0.0,), std=(1.0,)), np.zeros((2, 8, 8, 1), dtype=np.uint8)))
    ['image']
    """
    if isinstance(preprocessing, PixelPreprocessing):
        assert isinstance(inputs, np.ndarray)  # noqa: S101 - pixels go with pixels
        return {"image": inputs}
    assert isinstance(inputs, dict)  # noqa: S101 - columns go with columns
    return preprocessing.feeds(inputs)


def read_rows(
    data: Any,
    manifest: Manifest,
    read: ReadOptions,
    notes: Notes,
    *,
    batch_rows: int | None = None,
    rename: Mapping[str, str] | None = None,
    unseen: str = "other",
    target: str | None = None,
    labelled: bool = False,
    rejects: list[tuple[int, str]] | None = None,
) -> Iterator[RowBlock]:
    """Yield blocks of rows in the order of the data; rows in = rows out.

    `labelled` asks for the truth too: the column `target`, or the model's own, or the class folders of images.
    `rejects` receives line and text of the rows that were left out because of ``bad_rows="skip"``.
    """
    if manifest.task == "images":
        refuse_table_options(rename=rename, target=target, unseen=None if unseen == "other" else unseen, **_given(read))
        _refuse_table(data)
        yield from _image_rows(data, manifest, notes, batch_rows or IMAGE_BATCH_ROWS, labelled)
        return
    if is_image_source(data) and not names_images(data):
        raise TableError(
            "SC331", "the model takes a table; got images", where=_name_of(data),
            hint="Give a CSV, Parquet or Arrow file with its columns",
        )  # fmt: skip
    schema, preprocessing = manifest.schema(), manifest.preprocessing()
    assert isinstance(preprocessing, Preprocessing)  # noqa: S101 - the manifest was checked
    if target is not None:
        schema = replace(schema, target=target)
    for table in read_batches(
        data, replace(read, tie_break=schema.dialect), notes, batch_rows=batch_rows or TABLE_BATCH_ROWS
    ):
        if rename:
            _require_renamed(table, rename, [*(column.name for column in schema.columns), schema.target, *schema.ids])
            table = table.rename(rename)
        if rejects is not None:
            rejects.extend(table.rejected)
        columns = encode_columns(table, schema, notes)
        count_unseen(columns, preprocessing, notes, fail=unseen == "fail", name=table.name)
        targets, names = None, None
        if labelled:
            _require_target(table, schema.target)
            targets = encode_targets(table, schema, notes)
            names = _label_texts(table, str(schema.target))
        elif has_target(table, schema):
            pass  # a label column in rows to be predicted is neither read nor counted as a stranger
        yield RowBlock(feeds_of(preprocessing, columns), table.n_rows, table.first_row, targets, names, table=table)


def _image_rows(
    data: Any,
    manifest: Manifest,
    notes: Notes,
    batch_rows: int,
    labelled: bool,
) -> Iterator[RowBlock]:
    spec, preprocessing = manifest.image_spec(), manifest.preprocessing()
    number = {label.name: index for index, label in enumerate(manifest.classes)}
    first = 0
    for images in read_image_batches(data, spec, notes, batch_rows=batch_rows, labelled=labelled):
        targets = None
        if labelled:
            if images.labels is None:
                raise ImageError(
                    "SC343", "evaluating needs a class for each image; got images without classes",
                    where=shown(images.name), hint="Put them into one folder a class",
                )  # fmt: skip
            targets = np.array([number.get(label, -1) for label in images.labels], dtype=np.int64)
            unknown = int((targets < 0).sum())
            if unknown:
                notes.add("SC810", "images of classes unknown to the model", count=unknown)
        yield RowBlock(
            feeds_of(preprocessing, images.pixels), len(images.pixels), first, targets, images.labels, images=images
        )
        first += len(images.pixels)


def refuse_table_options(**options: Any) -> None:
    """Refuse options that have a value, but no meaning for images."""
    for name, value in options.items():
        if value:
            raise UsageError("SC202", f"--{name.replace('_', '-')} does not apply to images (applies to tables)")


def _given(read: ReadOptions) -> dict[str, bool]:
    """Tell which options of reading tables were chosen, by their names on the command line."""
    default = ReadOptions()
    names = {"header": "no_header"}
    return {
        names.get(field.name, field.name): getattr(read, field.name) != getattr(default, field.name)
        for field in fields(read)
    }


def _refuse_table(data: Any) -> None:
    """Refuse standard input, and files that do not even begin like images, before one of them is called damaged."""
    paths = [data] if isinstance(data, str | Path) else data
    if not isinstance(paths, list | tuple) or not all(isinstance(path, str | Path) for path in paths):
        return
    if "-" in paths or (paths and all(Path(path).is_file() and not is_image_source(path) for path in paths)):
        raise ImageError(
            "SC345", "the model takes images; got none", where=_name_of(data),
            hint="Give image files, a folder, a ZIP archive, or NPZ or IDX files",
        )  # fmt: skip


def _name_of(data: Any) -> str:
    """Name the data in a message."""
    if isinstance(data, list | tuple) and data and isinstance(data[0], str | Path):
        return shown(str(data[0])) + (f" and {len(data) - 1:,} more" if len(data) > 1 else "")
    if isinstance(data, str | Path):
        return "standard input" if data == "-" else shown(str(data))
    return f"a {type(data).__name__}"


def _require_renamed(table: Table, rename: Mapping[str, str], known: Sequence[str | None]) -> None:
    for name, new in rename.items():
        if new not in known:
            names = [column for column in known if column is not None]
            close = nearest(new, names)
            raise UsageError(
                "SC207",
                f"--rename {shown(name)}={shown(new)} leads to no column of the model; it has {_listed(names)}",
                hint=f"Did you mean {' or '.join(map(shown, close))}?" if close else "",
            )
        if name not in table.columns:
            close = nearest(name, table.columns)
            raise TableError(
                "SC321",
                f'column "{shown(name)}" of --rename is missing; the table has {_some(table)}',
                where=shown(table.name),
                hint=f"Did you mean {', '.join(map(shown, close))}?" if close else "",
            )


def _some(table: Table) -> str:
    return _listed(list(table.columns))


def _listed(names: Sequence[str]) -> str:
    return first_few([shown(name) for name in names])


def _require_target(table: Table, target: str | None) -> None:
    if target is None or target not in table.columns:
        name = "" if target is None else f' "{shown(target)}"'
        raise TableError(
            "SC311",
            f"the target column{name} is not there; the table has {_some(table)}",
            where=shown(table.name),
            hint="Pass --target NAME if it is called otherwise",
        )


def _label_texts(table: Table, target: str) -> list[str | None]:
    return [None if cell is None else str(cell).strip() for cell in table.columns[target].to_pylist()]
