"""The door to images: files, folders, archives, IDX, NPZ, arrays and Pillow's images become one array of pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from softclass._typing import Pixels
from softclass.data.array_images import ArrayImages
from softclass.data.folders import ImageFile
from softclass.data.image_set import ImageOptions, ImageSet, ImageSpec, default_size
from softclass.data.image_sources import Arrays, Files, find_images, is_image_source, names_images
from softclass.data.pixels import pixel_keys
from softclass.errors import ImageError, Notes, shown

__all__ = [
    "ImageOptions",
    "ImageSet",
    "ImageSpec",
    "is_image_source",
    "names_images",
    "pixel_keys",
    "read_image_batches",
    "read_images",
]

Progress = Callable[[int, int], None]


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
        or NPZ files, or such files; image files; a text table of image files and their classes.
    options : ImageOptions, optional
        How to read; sizes and channels are found from the images by default.
    notes : Notes, optional
        Gets a counted note for all that was skipped or changed.
    spec : ImageSpec, optional
        Of a model that exists: then images are brought to it and nothing is found out.
    labelled : bool or None, default True
        Whether labels are read; None: if there are any.
    targets : sequence of labels, optional
        The classes of an array or of Pillow's images. A text names the column of the classes in a list of images.
    progress : callable, optional
        Called with (files done, files in all).

    Returns
    -------
    ImageSet
        Pixels of one shape, labels as text, file names and parts.

    Raises
    ------
    ImageError, UsageError, TableError, ShapeError, PathError, TooLargeError
        SC341-SC346, SC361, SC362 for what cannot be read; SC203, SC311, SC101 for arguments that do not fit; SC603 and
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
        found = find_images(source, options, notes, labelled, targets, stack)
        if isinstance(found, Arrays):
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
    from softclass.data.image_files import Tally, read_file_batches

    with ExitStack() as stack:
        found = find_images(source, ImageOptions(), notes, labelled, None, stack)
        if isinstance(found, Arrays):
            whole = _read_arrays(found, ImageOptions(), notes, spec)
            for start in range(0, max(1, len(whole)), batch_rows):  # an empty array is one empty batch
                yield _rows(whole, start, start + batch_rows)
            return
        tally = Tally(shown(found.name), strict=False)
        for name, reason in found.skipped:
            tally.skip(name, reason)
        for read, skipped in read_file_batches(
            found.files, spec, tally, batch_rows=batch_rows, labelled=found.labelled
        ):
            if read.files or skipped:
                yield _image_set(found, read.pixels, read.files, spec, skipped)
        tally.finish(notes)


def _read_found(
    found: Files, options: ImageOptions, notes: Notes, spec: ImageSpec | None, progress: Progress | None
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
    found: Files, pixels: Pixels, files: Sequence[ImageFile], spec: ImageSpec, skipped: Sequence[tuple[str, str]]
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


def _read_arrays(found: Arrays, options: ImageOptions, notes: Notes, spec: ImageSpec | None) -> ImageSet:
    """Bring whole arrays to one size and put them together."""
    blocks = found.blocks if spec is not None else [block for block in found.blocks if len(block.pixels)]
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


def _array_spec(blocks: Sequence[ArrayImages], options: ImageOptions, notes: Notes) -> ImageSpec:
    """Size and channels of the model's input from arrays, by the rules for files."""
    fitted = [block for block in blocks if block.part in ("", "fit")] or blocks
    heights = [block.pixels.shape[1] for block in fitted for _ in range(len(block.pixels))]
    widths = [block.pixels.shape[2] for block in fitted for _ in range(len(block.pixels))]
    size = options.size or default_size(heights, widths, options.longest)
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
