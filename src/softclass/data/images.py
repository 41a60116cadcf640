"""The door to images: files, folders, archives, IDX, NPZ, arrays and Pillow's images become one array of pixels."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from softclass._typing import Pixels
from softclass.data.archives import Archive
from softclass.data.array_images import (
    Block,
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
from softclass.data.image_set import ImageOptions, ImageSet, ImageSpec, default_size
from softclass.data.pixels import pixel_keys
from softclass.data.signatures import looks_like_idx, looks_like_image, looks_like_npy, looks_like_zip
from softclass.errors import ImageError, Notes, ShapeError, TableError, UsageError, shown

__all__ = [
    "ImageOptions",
    "ImageSet",
    "ImageSpec",
    "is_image_source",
    "pixel_keys",
    "read_image_batches",
    "read_images",
]

_HEAD_BYTES = 1024  # a gzip header may carry a long file name before the first compressed byte
Progress = Callable[[int, int], None]


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
        arrays with three or four axes and for sequences of Pillow's images.

    Examples
    --------
    >>> import numpy as np
    >>> is_image_source(np.zeros((5, 8, 8), dtype=np.uint8)), is_image_source(np.zeros((5, 8)))
    (True, False)
    """
    if isinstance(source, np.ndarray):
        return source.ndim >= 3
    if isinstance(source, str | Path):
        return source != "-" and _is_image_path(Path(source))
    if isinstance(source, Sequence) and len(source) > 0:
        return _is_pillow(source[0]) or (
            isinstance(source[0], str | Path)
            and any(map(is_image_source, source))  # a table among them is refused later
        )
    return False


def read_images(
    source: Any,
    options: ImageOptions | None = None,
    notes: Notes | None = None,
    *,
    spec: ImageSpec | None = None,
    labelled: bool | None = True,
    targets: Any = None,
    progress: Progress | None = None,
) -> ImageSet:
    """
    Read images and their classes into one array.

    Parameters
    ----------
    source : path, sequence of paths, uint8 array (n, height, width[, channels]), or sequence of Pillow's images
        A folder or ZIP archive with a folder per class, optionally below train, validation and test; a folder with IDX
        or NPZ files, or such files; image files.
    options : ImageOptions, optional
        How to read; sizes and channels are found from the images by default.
    notes : Notes, optional
        Gets a counted note for all that was skipped or changed.
    spec : ImageSpec, optional
        Of a model that exists: then images are brought to it and nothing is found out.
    labelled : bool or None, default True
        Whether labels are read; None: if there are any.
    targets : sequence of labels, optional
        The classes of an array or of Pillow's images.
    progress : callable, optional
        Called with (files done, files in all).

    Returns
    -------
    ImageSet
        Pixels of one shape, labels as text, file names and parts.

    Raises
    ------
    ImageError, UsageError, TableError, ShapeError, PathError, TooLargeError
        SC341-SC345, SC361, SC362 for what cannot be read; SC203, SC311, SC101 for arguments that do not fit; SC603 and
        SC606 for a path or a machine.

    Notes
    -----
    Memory: ``n * height * width * channels`` bytes of the model's size and a few files at a time; four thirds of that
    if images stored in colour all turn out grey.

    Examples
    --------
    >>> import numpy as np
    >>> found = read_images(np.zeros((2, 8, 8), dtype=np.uint8), targets=["cat", "dog"])
    >>> found.pixels.shape, found.labels
    ((2, 8, 8, 1), ('cat', 'dog'))
    """
    options, notes = options or ImageOptions(), Notes() if notes is None else notes
    with ExitStack() as stack:
        found = _find(source, options, notes, labelled, targets, stack)
        if isinstance(found, _Arrays):
            return _read_arrays(found, options, notes, spec)
        return _read_found(found, options, notes, spec, progress)


def read_image_batches(
    source: Any, spec: ImageSpec, notes: Notes, *, batch_rows: int = 256, labelled: bool = False
) -> Iterator[ImageSet]:
    """
    Read images a few at a time, brought to the input of a model.

    Parameters
    ----------
    source : as for `read_images`
        Folders are read through, sorted, with all that lies below them.
    spec : ImageSpec
        The input of the model.
    notes : Notes
        Gets its notes when the last image has been read.
    batch_rows : int, default 256
        The most images of one batch; never changes a pixel.
    labelled : bool, default False
        Whether labels are read.

    Yields
    ------
    ImageSet
        At most `batch_rows` images in the order of the source.

    Raises
    ------
    ImageError
        As `read_images`; too many damaged files are found at the end only.

    Examples
    --------
    >>> import numpy as np
    >>> images = np.zeros((5, 8, 8), dtype=np.uint8)
    >>> [len(batch) for batch in read_image_batches(images, ImageSpec(8, 8, 1), Notes(), batch_rows=2)]
    [2, 2, 1]
    """
    from softclass.data.image_files import Tally, read_batches

    with ExitStack() as stack:
        found = _find(source, ImageOptions(), notes, labelled, None, stack)
        if isinstance(found, _Arrays):
            whole = _read_arrays(found, ImageOptions(), notes, spec)
            for start in range(0, len(whole), batch_rows):
                yield _rows(whole, start, start + batch_rows)
            return
        tally = Tally(shown(found.name), strict=False)
        for name, reason in found.skipped:
            tally.skip(name, reason)
        for read, skipped in read_batches(found.files, spec, tally, batch_rows=batch_rows, labelled=found.labelled):
            if read.files or skipped:
                yield _image_set(found, read.pixels, read.files, spec, skipped)
        tally.finish(notes)


@dataclass(frozen=True, eq=False)
class _Arrays:
    """A source made of whole arrays."""

    name: str
    blocks: list[Block]


@dataclass(frozen=True, eq=False)
class _Files:
    """A source made of single images."""

    name: str
    files: list[ImageFile]
    skipped: list[tuple[str, str]]
    labelled: bool
    targets: tuple[tuple[str, ...], str] | None = None


def _find(
    source: Any, options: ImageOptions, notes: Notes, labelled: bool | None, targets: Any, stack: ExitStack
) -> _Arrays | _Files:
    """Find out what kind of source this is and list what it holds."""
    if isinstance(source, np.ndarray) or (not isinstance(source, str | Path) and source and _is_pillow(source[0])):
        return _find_in_memory(source, notes, labelled, targets)
    if targets is not None:
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
        return _Arrays(name, read_blocks(arrays, notes, labelled=labelled))
    return _find_files(paths, name, options, notes, labelled, stack)


def _find_in_memory(source: Any, notes: Notes, labelled: bool | None, targets: Any) -> _Arrays | _Files:
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
        return _Arrays(name, [Block("", pixels, texts, label_type, "")])
    from softclass.data.image_files import OpenedImages

    store = OpenedImages(source)
    files = unlabelled_files(store, store.list())
    if labels is not None:
        files = [replace(file, label=text) for file, text in zip(files, labels[0], strict=True)]
    return _Files(name, files, [], labels is not None, labels)


def _target_labels(targets: Any, n_images: int, name: str) -> tuple[tuple[str, ...], str]:
    """The labels that were given in Python, as text with their type."""
    values = np.asarray(targets)
    if values.dtype.kind == "O":
        missing = [at for at, value in enumerate(values.tolist()) if value is None or value != value]
        if missing:
            raise TableError(
                "SC312", f"every image needs a label; got {len(missing):,} missing, the first at index {missing[0]}",
                where=name,
            )  # fmt: skip
        values = np.asarray([str(value) for value in values.tolist()])
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
    paths: Sequence[Path], name: str, options: ImageOptions, notes: Notes, labelled: bool | None, stack: ExitStack
) -> _Files:
    """Folders, archives and single files, one after the other."""
    files: list[ImageFile] = []
    skipped: list[tuple[str, str]] = []
    empty: list[str] = []
    singles = [path for path in paths if path.is_file() and not _is_archive(path)]
    found_labels = labelled is not False
    for path in paths:
        if path in singles:
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
        first = ", ".join(f'"{shown(folder)}"' for folder in empty[:10])
        more = f" and {len(empty) - 10:,} more" if len(empty) > 10 else ""
        notes.add("SC836", f"folders without images are no classes: {first}{more}", count=len(empty))
    if not found_labels:
        files = [replace(file, label=None, part="") for file in files]
    return _Files(name, files, skipped, found_labels)


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


def _read_found(
    found: _Files, options: ImageOptions, notes: Notes, spec: ImageSpec | None, progress: Progress | None
) -> ImageSet:
    """Decode a source made of single images."""
    from softclass.data.image_files import Tally, read_files

    tally = Tally(shown(found.name), options.strict)
    for name, reason in found.skipped:
        tally.skip(name, reason)
    read = read_files(found.files, options, spec, tally, notes, labelled=found.labelled, progress=progress)
    tally.finish(notes)
    return _image_set(found, read.pixels, read.files, read.spec, sorted(tally.skipped))


def _image_set(
    found: _Files, pixels: Pixels, files: Sequence[ImageFile], spec: ImageSpec, skipped: Sequence[tuple[str, str]]
) -> ImageSet:
    return ImageSet(
        name=found.name,
        pixels=pixels,
        labels=tuple(file.label or "" for file in files) if found.labelled else None,
        files=tuple(file.name for file in files),
        parts=_parts([file.part for file in files]),
        spec=spec,
        skipped=tuple(skipped),
        label_type=found.targets[1] if found.targets is not None else "string",
    )


def _parts(parts: Sequence[str]) -> npt.NDArray[np.str_] | None:
    """The parts of the images, or None if the source does not tell them apart."""
    return np.array(parts, dtype=np.str_) if len(set(parts)) > 1 else None


def _read_arrays(found: _Arrays, options: ImageOptions, notes: Notes, spec: ImageSpec | None) -> ImageSet:
    """Bring whole arrays to one size and put them together."""
    blocks = [block for block in found.blocks if len(block.pixels)]
    if not blocks:
        raise ImageError("SC345", "must hold images; found none", where=shown(found.name))
    if spec is None:
        spec = _array_spec(blocks, options, notes)
    pieces = [_to_spec(block.pixels, spec) for block in blocks]
    labelled = all(block.labels is not None for block in blocks)
    prefixes = [f"{block.name} " if len(blocks) > 1 else "" for block in blocks]
    return ImageSet(
        name=found.name,
        pixels=pieces[0] if len(pieces) == 1 else np.concatenate(pieces),
        labels=tuple(text for block in blocks for text in block.labels or ()) if labelled else None,
        files=tuple(
            f"{prefix}index {at}"
            for prefix, block in zip(prefixes, blocks, strict=True)
            for at in range(len(block.pixels))
        ),
        parts=_parts([block.part for block in blocks for _ in range(len(block.pixels))]),
        spec=spec,
        label_type=blocks[0].label_type if len({block.label_type for block in blocks}) == 1 else "string",
    )


def _array_spec(blocks: Sequence[Block], options: ImageOptions, notes: Notes) -> ImageSpec:
    """Size and channels of the model's input from arrays, by the rules for files."""
    fitted = [block for block in blocks if block.part in ("", "fit")] or blocks
    heights = [block.pixels.shape[1] for block in fitted for _ in range(len(block.pixels))]
    widths = [block.pixels.shape[2] for block in fitted for _ in range(len(block.pixels))]
    size = options.size or default_size(heights, widths)
    channels = options.channels or (1 if all(_is_grey(block.pixels) for block in blocks) else 3)
    spec = ImageSpec(*size, channels, options.resize)
    sizes = [block.pixels.shape[1:3] for block in blocks for _ in range(len(block.pixels))]
    if any(size != (spec.height, spec.width) for size in sizes):
        from softclass.data.image_files import note_sizes

        note_sizes([(height, width) for height, width in sizes], spec, notes)
    return spec


def _to_spec(pixels: Pixels, spec: ImageSpec) -> Pixels:
    if pixels.shape[1:] == spec.shape:
        return pixels
    from softclass.data.image_files import conform_all

    return conform_all(pixels, spec)


def _is_grey(pixels: Pixels) -> bool:
    """Whether the channels are equal everywhere, looked at image by image."""
    return pixels.shape[-1] == 1 or all(
        bool((image[..., 0] == image[..., 1]).all() and (image[..., 0] == image[..., 2]).all()) for image in pixels
    )


def _rows(whole: ImageSet, start: int, stop: int) -> ImageSet:
    return replace(
        whole,
        pixels=whole.pixels[start:stop],
        labels=None if whole.labels is None else whole.labels[start:stop],
        files=whole.files[start:stop],
        parts=None if whole.parts is None else whole.parts[start:stop],
    )


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
