"""Images that come as arrays: IDX and NPZ files by the names people give them, and arrays from Python."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from softclass._typing import Pixels
from softclass.data.folders import ROLES, as_text, is_passed_over, open_data_file
from softclass.data.idx import read_idx
from softclass.data.npz import read_npz
from softclass.data.paths import cannot_read
from softclass.errors import ImageError, Notes, shown

# The words of "train-images-idx3-ubyte.gz", "t10k-labels.idx1-ubyte", "kmnist-test-imgs.npz", "x_train", "val_labels".
_WORD = re.compile(r"[A-Za-z0-9]+")
_IMAGE_WORDS = frozenset({"images", "image", "imgs", "img", "x", "data", "pixels"})
_LABEL_WORDS = frozenset({"labels", "label", "y", "targets", "target", "classes"})
_ROLE_WORDS = {**ROLES, "t10k": "test"}
_IDX_NAME = re.compile(r"idx[1-5][-._]ubyte(\.gz)?$|\.idx(\.gz)?$")


@dataclass(frozen=True, eq=False)
class ArrayImages:
    """Images of one array, with their labels."""

    name: str
    pixels: Pixels  # (n, height, width, 1 or 3)
    labels: tuple[str, ...] | None
    label_type: str
    part: str


@dataclass(frozen=True)
class _Name:
    """What the name of a file or of an array says."""

    text: str
    stem: tuple[str, ...]  # the words that say neither images nor labels: equal for the two halves of a pair
    is_labels: bool
    part: str


def is_array_file(name: str) -> bool:
    """Return whether a file name is one of an IDX, NPZ or NPY file.

    Examples
    --------
    >>> [is_array_file(name) for name in ("train-images.idx3-ubyte.gz", "x.npz", "cat.png")]
    [True, True, False]
    """
    return name.endswith((".npz", ".npy")) or _IDX_NAME.search(name) is not None


def array_files(folder: Path) -> list[Path]:
    """Return the IDX or NPZ files that lie directly in a folder, the plain one of two that differ by ".gz" only."""
    try:
        names = sorted(entry.name for entry in folder.iterdir() if not is_passed_over(entry.name))
    except OSError as error:
        raise cannot_read(folder, error) from error
    found = [name for name in names if is_array_file(name) and (folder / name).is_file()]
    return [folder / name for name in found if not (name.endswith(".gz") and name[:-3] in found)]


def labels_beside(path: Path) -> Path | None:
    """Return the file with the labels that belong to a file of images in the same folder."""
    wanted = _read_name(path.name)
    for other in array_files(path.parent):
        name = _read_name(other.name)
        if name.is_labels and not wanted.is_labels and name.stem == wanted.stem:
            return other
    return None


def read_blocks(paths: Sequence[Path], notes: Notes, *, labelled: bool | None) -> list[ArrayImages]:
    """Return the arrays of images in files, paired with their labels.

    Raises
    ------
    ImageError
        SC361 when names or sizes do not fit, SC343 when labels are wanted and there are none.
    """
    images: list[tuple[_Name, npt.NDArray[Any]]] = []
    labels: list[tuple[_Name, npt.NDArray[Any]]] = []
    for path in paths:
        for name, array in _arrays_of(path, labelled=labelled):
            (labels if name.is_labels else images).append((name, array))
    where = shown(as_text(paths[0].name if len(paths) == 1 else paths[0].parent.name))
    if not images:
        raise ImageError("SC345", "must hold images; found none", where=where)
    if labelled is False:
        return [
            ArrayImages(name.text, as_pixels(array, name.text, notes), None, "string", name.part)
            for name, array in images
        ]
    blocks = [_pair(name, array, labels, where, notes, labelled=bool(labelled)) for name, array in images]
    _check_roles(blocks, where)
    return blocks


def _arrays_of(path: Path, *, labelled: bool | None) -> list[tuple[_Name, npt.NDArray[Any]]]:
    """The arrays of one file with what their names say; those of an NPZ file by key, else by the file's name."""
    text = as_text(path.name)
    if not path.name.endswith((".npz", ".npy")) and not _begins_like_npz(path):
        name = _read_name(text)
        # An IDX array with one axis is labels, whatever it is called.
        array = read_idx(path)
        return [(_Name(name.text, name.stem, name.is_labels or array.ndim == 1, name.part), array)]
    arrays = read_npz(path)
    if set(arrays) == {"arr_0"}:
        name = _read_name(text)
        array = arrays["arr_0"]
        return [(_Name(name.text, name.stem, name.is_labels or array.ndim <= 2, name.part), array)]
    if set(arrays) == {"arr_0", "arr_1"}:
        arrays = {"images": arrays["arr_0"], "labels": arrays["arr_1"]}
    found = [(_read_name(key), array) for key, array in arrays.items()]
    strange = [name.text for name, _ in found if not (_words(name.text) & (_IMAGE_WORDS | _LABEL_WORDS))]
    if strange or not any(not name.is_labels for name, _ in found):
        keys = ", ".join(f'"{shown(key)}"' for key in sorted(arrays)) or "none"
        raise ImageError(
            "SC361",
            f"arrays must be called x and y, images and labels, or x_train, y_train, x_test, y_test; got {keys}",
            where=shown(text),
        )
    return found


def _begins_like_npz(path: Path) -> bool:
    with open_data_file(path) as file:
        return file.read(2) in (b"PK", b"\x93N")


def _words(text: str) -> set[str]:
    return {word.casefold() for word in _WORD.findall(text)}


def _read_name(text: str) -> _Name:
    """Split a name into its words, and sort out those that mean images, labels or a part."""
    words = [word.casefold() for word in _WORD.findall(text)]
    part = next((_ROLE_WORDS[word] for word in words if word in _ROLE_WORDS), "")
    no_stem = _IMAGE_WORDS | _LABEL_WORDS | {"idx1", "idx2", "idx3", "idx4", "idx5", "idx", "ubyte", "gz", "npz", "npy"}
    stem = tuple(word for word in words if word not in no_stem)
    return _Name(text, stem, bool(_LABEL_WORDS.intersection(words)) and not _IMAGE_WORDS.intersection(words), part)


def _pair(
    name: _Name,
    array: npt.NDArray[Any],
    labels: list[tuple[_Name, npt.NDArray[Any]]],
    where: str,
    notes: Notes,
    *,
    labelled: bool,
) -> ArrayImages:
    """Images with the labels whose name has the same words."""
    pixels = as_pixels(array, name.text, notes)
    fitting = [(other, values) for other, values in labels if other.stem == name.stem]
    if not fitting and len(labels) == 1:
        fitting = labels
    if not fitting:
        if labelled:
            raise ImageError(
                "SC343",
                f'images must come with labels; none belong to "{shown(name.text)}"',
                where=where,
                hint="Put the labels beside it under the same name with labels in the place of images",
            )
        return ArrayImages(name.text, pixels, None, "string", name.part)
    other, values = fitting[0]
    texts, label_type = as_labels(values, other.text)
    if len(texts) != len(pixels):
        raise ImageError(
            "SC361",
            f'there must be one label per image; got {len(pixels):,} images in "{shown(name.text)}" '
            f'and {len(texts):,} labels in "{shown(other.text)}"',
            where=where,
        )
    return ArrayImages(name.text, pixels, texts, label_type, name.part)


def _check_roles(blocks: list[ArrayImages], where: str) -> None:
    """Refuse two arrays for one part: nobody can tell which one is meant."""
    parts: dict[str, str] = {}
    for block in blocks:
        if block.part in parts:
            raise ImageError(
                "SC361",
                f'there must be one array of images per part; got "{shown(parts[block.part])}" '
                f'and "{shown(block.name)}"',
                where=where,
            )
        parts[block.part] = block.name
    if "" in parts and len(parts) > 1:
        raise ImageError("SC361", f'"{shown(parts[""])}" belongs to no part, the others do', where=where)


def as_pixels(array: npt.NDArray[Any], name: str, notes: Notes) -> Pixels:
    """Return an array of images as uint8 (n, height, width, 1 or 3).

    Raises
    ------
    ImageError
        SC361 for a wrong number of axes, SC344 for values without a rule, SC345 for images of size 0.
    """
    where = shown(name)
    shaped = array[..., np.newaxis] if array.ndim == 3 else array
    if shaped.ndim != 4 or shaped.shape[-1] not in (1, 3, 4):
        sides = " x ".join(map(str, array.shape))
        channels_first = array.ndim == 4 and array.shape[1] in (1, 3, 4)
        raise ImageError(
            "SC361",
            f"images must be an array (n, height, width) or (n, height, width, 1, 3 or 4); got {sides}",
            where=where,
            hint="Move the channels to the end: x.transpose(0, 2, 3, 1)" if channels_first else "",
        )
    if 0 in shaped.shape[1:]:
        raise ImageError("SC345", "images must have at least one pixel; got a size of 0", where=where)
    pixels = _to_bytes(shaped, where, notes)
    if pixels.shape[-1] != 4:
        return pixels
    transparent = int(np.count_nonzero((pixels[..., 3] < 255).any(axis=(1, 2))))
    if transparent:
        word = "image" if transparent == 1 else "images"
        notes.add("SC833", f"{word} with transparent pixels laid over white", count=transparent)
    white = np.empty((*pixels.shape[:3], 3), dtype=np.uint8)
    for at, image in enumerate(pixels):  # one at a time: the products need four times the memory
        alpha = image[..., 3:].astype(np.uint16)
        white[at] = (image[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255
    return white


def _to_bytes(values: npt.NDArray[Any], where: str, notes: Notes) -> Pixels:
    """Values of any plain type to 0..255, by the rules for image files."""
    kind = values.dtype.kind
    if values.dtype == np.uint8:
        return np.ascontiguousarray(values)
    if kind == "b":
        return values.astype(np.uint8) * np.uint8(255)
    if kind not in "iuf":
        raise ImageError("SC344", f"pixels must be numbers; got type {values.dtype}", where=where)
    lowest, highest = (values.min(), values.max()) if values.size else (0, 0)
    if kind == "f":
        if not (lowest >= 0 and highest <= 1):  # NaN fails both
            raise ImageError(
                "SC344",
                f"floating-point pixels must lie in [0, 1]; got {lowest:.4g} to {highest:.4g}",
                where=where,
                hint="Pass x.astype(numpy.uint8) if they lie in 0..255",
            )
        return _floats_to_bytes(values)
    if values.dtype == np.uint16:
        notes.add("SC831", "images with 16-bit pixels scaled to 8 bits", count=len(values))
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if lowest < 0 or highest > 255:
        raise ImageError("SC344", f"whole-number pixels must lie in 0..255; got {lowest} to {highest}", where=where)
    return values.astype(np.uint8)


def _floats_to_bytes(values: npt.NDArray[Any]) -> Pixels:
    """floor(x * 255 + 1/2) in double precision, image by image to save memory."""
    pixels = np.empty(values.shape, dtype=np.uint8)
    for at, image in enumerate(values):
        pixels[at] = np.floor(image.astype(np.float64) * 255 + 0.5)
    return pixels


def as_labels(values: npt.NDArray[Any], name: str) -> tuple[tuple[str, ...], str]:
    """Return labels as text, with the type they had: "string", "integer" or "boolean".

    Examples
    --------
    >>> as_labels(np.array([3, 1]), "y")
    (('3', '1'), 'integer')

    Raises
    ------
    ImageError
        SC361 when they are no list of labels.
    """
    where = shown(name)
    flat = values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
    if flat.ndim != 1:
        sides = " x ".join(map(str, values.shape))
        raise ImageError("SC361", f"labels must be one per image; got an array of {sides}", where=where)
    kind = flat.dtype.kind
    if kind == "b":
        return tuple("true" if value else "false" for value in flat.tolist()), "boolean"
    if kind == "f" and bool(np.all(np.isfinite(flat) & (flat == np.floor(flat)) & (np.abs(flat) < 2**53))):
        flat, kind = flat.astype(np.int64), "i"
    if kind in "iu":
        return tuple(map(str, flat.tolist())), "integer"
    if kind in "SU":
        return tuple(text.decode("utf-8", "replace") if kind == "S" else text for text in flat.tolist()), "string"
    raise ImageError("SC361", f"labels must be whole numbers or text; got type {flat.dtype}", where=where)
