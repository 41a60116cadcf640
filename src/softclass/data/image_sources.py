"""Where images come from: folders, archives, lists, IDX and NPZ files, single files, arrays and Pillow's images."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from softclass.data.archives import Archive
from softclass.data.array_images import (
    ArrayImages,
    array_files,
    as_labels,
    as_pixels,
    is_array_file,
    labels_beside,
    read_blocks,
)
from softclass.data.files import check_local_path
from softclass.data.folders import (
    FileStore,
    Folder,
    ImageFile,
    Listing,
    SingleFiles,
    as_text,
    labelled_files,
    unlabelled_files,
)
from softclass.data.image_lists import is_image_list, read_image_list
from softclass.data.image_set import ImageOptions
from softclass.data.signatures import looks_like_idx, looks_like_image, looks_like_npy, looks_like_zip
from softclass.errors import DTypeError, ImageError, Notes, ShapeError, TableError, UsageError, first_quoted, shown

_HEAD_BYTES = 1024  # a gzip header may carry a long file name before the first compressed byte


def is_image_source(source: Any) -> bool:
    """
    Tell images from tables.

    Parameters
    ----------
    source : path, sequence of paths, array, sequence of images, or anything else
        What a user called the data.

    Returns
    -------
    bool
        True for folders, for files that hold images by their first bytes (image formats, ZIP, NPZ, NPY, IDX), for
        lists of images (see `softclass.data.image_lists`), for arrays with three or four axes and for sequences of
        Pillow's images.

    Examples
    --------
    >>> import numpy as np
    >>> is_image_source(np.zeros((5, 8, 8), dtype=np.uint8)), is_image_source(np.zeros((5, 8)))
    (True, False)
    """
    if isinstance(source, np.ndarray):
        return source.ndim >= 3
    if isinstance(source, str | Path):
        return source not in ("-", "") and _is_image_path(Path(source))
    if isinstance(source, Sequence) and len(source) > 0:
        return _is_pillow(source[0]) or (
            isinstance(source[0], str | Path)
            and any(map(is_image_source, source))  # a table among them is refused later
        )
    return False


def names_images(source: Any) -> bool:
    """
    Return whether a source is made of lists of images only, which a table that happens to look like one may be, too.

    Examples
    --------
    >>> names_images("."), names_images([])
    (False, False)
    """
    paths = [source] if isinstance(source, str | Path) else source
    if not isinstance(paths, Sequence) or isinstance(paths, bytes) or not paths:
        return False
    return all(isinstance(path, str | Path) and path not in ("-", "") and is_image_list(Path(path)) for path in paths)


@dataclass(frozen=True, eq=False)
class Arrays:
    """A source made of whole arrays."""

    name: str
    blocks: list[ArrayImages]


@dataclass(frozen=True, eq=False)
class Files:
    """A source made of single images."""

    name: str
    files: list[ImageFile]
    skipped: list[tuple[str, str]]
    labelled: bool
    targets: tuple[tuple[str, ...], str] | None = None


def find_images(
    source: Any, options: ImageOptions, notes: Notes, labelled: bool | None, targets: Any, stack: ExitStack
) -> Arrays | Files:
    """Find out what kind of source this is and list what it holds."""
    _check_kind(source)
    if isinstance(source, np.ndarray) or (not isinstance(source, str | Path) and source and _is_pillow(source[0])):
        return _find_in_memory(source, notes, labelled, targets)
    if targets is not None and not (isinstance(targets, str) and names_images(source)):
        raise UsageError(
            "SC203", "target= gives the labels of arrays and of images in memory; files have their own", where="images"
        )
    given = [source] if isinstance(source, str | Path) else list(source)
    if not given:
        raise ImageError("SC345", "must hold images; got an empty list", where="images")
    paths = [check_local_path(path) for path in given]
    name = as_text(paths[0].resolve().name) if len(paths) == 1 else f"{len(paths):,} paths"
    arrays = _array_paths(paths, labelled)
    if arrays:
        return Arrays(name, read_blocks(arrays, notes, labelled=labelled))
    return _find_files(paths, name, options, notes, labelled, stack, targets)


def _check_kind(source: Any) -> None:
    """Refuse what is neither a path, nor an array, nor a list of paths or of Pillow's images."""
    if isinstance(source, np.ndarray | str | Path):
        return
    is_list = isinstance(source, Sequence) and not isinstance(source, bytes)
    if is_list and (all(map(_is_pillow, source)) or all(isinstance(item, str | Path) for item in source)):
        return
    what = f"a {type(source).__name__} of {type(source[0]).__name__}" if is_list else f"a {type(source).__name__}"
    raise DTypeError(
        "SC113",
        f"must be a path, an array (n, height, width), or a list of paths or of Pillow's images; got {what}",
        where="images",
        hint="Put arrays of one size together with numpy.stack" if what.endswith("ndarray") else "",
    )


def _find_in_memory(source: Any, notes: Notes, labelled: bool | None, targets: Any) -> Arrays | Files:
    """An array, or a sequence of Pillow's images, with labels beside them."""
    name = "the array of images" if isinstance(source, np.ndarray) else "the list of images"
    labels = None
    if labelled is not False:
        if targets is None and labelled:
            raise TableError("SC311", "labels are missing", where=name, hint="Pass target= with one label per image")
        labels = None if targets is None else _target_labels(targets, len(source), name)
    if isinstance(source, np.ndarray):
        pixels = as_pixels(source, name, notes)
        texts, label_type = labels if labels is not None else (None, "string")
        return Arrays(name, [ArrayImages("", pixels, texts, label_type, "")])
    from softclass.data.image_files import OpenedImages

    store = OpenedImages(source)
    files = unlabelled_files(store, store.list())
    if labels is not None:
        files = [replace(file, label=text) for file, text in zip(files, labels[0], strict=True)]
    return Files(name, files, [], labels is not None, labels)


def _target_labels(targets: Any, n_images: int, name: str) -> tuple[tuple[str, ...], str]:
    """The labels that were given in Python, as text with their type."""
    try:
        values = np.asarray(targets)
    except ValueError as error:
        raise ShapeError("SC101", "`target` must hold one label per image; got lists inside", where=name) from error
    if values.dtype.kind in "Of" and values.ndim == 1:
        missing = [at for at, value in enumerate(values.tolist()) if value is None or value != value]
        if missing:
            raise TableError(
                "SC312", f"every image needs a label; got {len(missing):,} missing, the first at index {missing[0]}",
                where=name,
            )  # fmt: skip
        # Objects become one plain type: text, unless all are numbers.
        values = np.asarray(values.tolist())
    texts = as_labels(values, "target")
    if len(texts[0]) != n_images:
        raise ShapeError(
            "SC101",
            f"`target` must hold one label per image; got {len(texts[0]):,} for {n_images:,} images",
            where=name,
        )
    return texts


def _array_paths(paths: Sequence[Path], labelled: bool | None) -> list[Path]:
    """The IDX and NPZ files of a source, or none if it is made of images."""
    if len(paths) == 1 and paths[0].is_dir():
        found = array_files(paths[0])
        # A stray NPZ beside folders of images is no data set; IDX files hardly stray.
        only_npz = all(path.suffix in (".npz", ".npy") for path in found)
        return [] if only_npz and any(entry.is_dir() for entry in paths[0].iterdir()) else found
    arrays = [path for path in paths if path.is_file() and _is_array_content(path)]
    if arrays and len(arrays) < len(paths):
        other = next(path for path in paths if path not in arrays)
        raise UsageError(
            "SC203", f'arrays and images cannot be read together; got "{shown(arrays[0])}" and "{shown(other)}"',
            where="images",
        )  # fmt: skip
    if len(arrays) == 1 and labelled is not False:
        beside = labels_beside(arrays[0])
        return [*arrays, beside] if beside is not None else arrays
    return arrays


def _find_files(
    paths: Sequence[Path], name: str, options: ImageOptions, notes: Notes, labelled: bool | None, stack: ExitStack,
    target: str | None,
) -> Files:  # fmt: skip
    """Folders, archives, lists and single files, one after the other."""
    files: list[ImageFile] = []
    skipped: list[tuple[str, str]] = []
    empty: list[str] = []
    plain = [path for path in paths if path.is_file() and not _is_archive(path)]
    lists = {path for path in plain if is_image_list(path)}
    singles = [path for path in plain if path not in lists]
    found_labels = labelled is not False
    for path in paths:
        if path in singles:
            continue
        if path in lists:
            before = f"{as_text(path.name)}: " if len(paths) > 1 else ""
            listed = read_image_list(path, labelled=labelled, target=target, prefix=before)
            files.extend(listed.files)
            skipped.extend(listed.skipped)
            found_labels = found_labels and listed.labelled
            continue
        store: Folder | Archive = Folder(path, options.follow_links) if path.is_dir() else Archive(path)
        if isinstance(store, Archive):
            stack.callback(store.close)
        listing = store.list()
        prefix = f"{store.name}/" if len(paths) > 1 else ""
        skipped.extend((prefix + file, reason) for file, reason in listing.skipped)
        found, has_labels = _list(store, listing, empty, labelled, prefix)
        found_labels = found_labels and has_labels
        files.extend(found)
    if singles:
        if labelled:
            raise ImageError(
                "SC343", "a single file has no class; give a folder with one folder per class",
                where=shown(as_text(singles[0].name)),
            )  # fmt: skip
        store_of_singles = SingleFiles(singles)
        files.extend(unlabelled_files(store_of_singles, store_of_singles.list()))
        found_labels = False
    if empty:
        first = first_quoted(empty, 10)
        what = "folder without images is no class" if len(empty) == 1 else "folders without images are no classes"
        notes.add("SC836", f"{what}: {first}", count=len(empty))
    if not found_labels:
        files = [replace(file, label=None, part="") for file in files]
    return Files(name, files, skipped, found_labels)


def _list(
    store: FileStore, listing: Listing, empty: list[str], labelled: bool | None, prefix: str
) -> tuple[list[ImageFile], bool]:
    """The files of one folder or archive, with classes if they are wanted and there."""
    if labelled is False:
        return unlabelled_files(store, listing, prefix), False
    try:
        return labelled_files(store, listing, empty, prefix), True
    except ImageError:
        if labelled:
            raise
        empty.clear()
        return unlabelled_files(store, listing, prefix), False


def _is_pillow(value: Any) -> bool:
    """Whether a value is an image of Pillow; looks, never imports."""
    pillow = sys.modules.get("PIL.Image")
    return pillow is not None and isinstance(value, pillow.Image)


def _is_image_path(path: Path) -> bool:
    if path.is_dir():
        return True
    head = _head(path)
    return (
        looks_like_image(head)
        or looks_like_npy(head)
        or looks_like_idx(head)
        or (looks_like_zip(head) and not _is_spreadsheet(path))
        or is_image_list(path)
    )


def _is_array_content(path: Path) -> bool:
    head = _head(path)
    if looks_like_zip(head):
        return _names_in(path)[1]
    return looks_like_npy(head) or looks_like_idx(head) or (is_array_file(path.name) and not looks_like_image(head))


def _is_archive(path: Path) -> bool:
    return looks_like_zip(_head(path))


def _is_spreadsheet(path: Path) -> bool:
    """An .xlsx or .docx file is a ZIP archive too; its first words say so."""
    return _names_in(path)[0]


def _names_in(path: Path) -> tuple[bool, bool]:
    """Whether an archive is an office document, and whether it holds nothing but arrays."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False, path.suffix == ".npz"
    return "[Content_Types].xml" in names, bool(names) and all(name.endswith(".npy") for name in names)


def _head(path: Path) -> bytes:
    """The first bytes of a regular file; nothing for anything else, which is never opened."""
    if not path.is_file():
        return b""
    try:
        with path.open("rb") as file:
            return file.read(_HEAD_BYTES)
    except OSError:
        return b""
