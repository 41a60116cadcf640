"""Many image files to one array: headers first, then pixels, in a fixed order on every core."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np

from softclass._typing import Pixels
from softclass.data.decode import Decoded, Header, ImageFault, conform, decode, decode_open, limits, read_header
from softclass.data.folders import ImageFile, Listing
from softclass.data.image_set import ImageOptions, ImageSpec, default_size
from softclass.errors import ImageError, Notes, TooLargeError, shown

Progress = Callable[[int, int], None]  # (done, total)
_BLOCK = 128  # files handed to the threads at once: bounds what waits in memory
_NAMED = 20  # skipped files named in a note; ImageSet.skipped has them all
_LONG = 10  # an image more than so many times as long as wide loses most of itself in a crop
_Result = TypeVar("_Result")


class OpenedImages:
    """Images of Pillow that were opened or made in Python."""

    def __init__(self, images: Sequence[Any]) -> None:
        self.name = "the list of images"
        self.images = images

    def open(self, key: str) -> BinaryIO:
        """There is no file."""
        raise OSError("not a file")

    def list(self) -> Listing:
        """One key per image."""
        return Listing(keys=[f"index {at}" for at in range(len(self.images))])


@dataclass
class Tally:
    """What happened to the files of one source: turned into notes, or into an error, at the end."""

    where: str
    strict: bool
    skipped: list[tuple[str, str]] = field(default_factory=list)
    damaged: int = 0
    good: int = 0
    counts: dict[str, int] = field(default_factory=dict)

    def refuse(self, name: str, refusal: ImageFault) -> None:
        """Count a file that gave no pixels; raises at once where that is an error."""
        if self.strict or refusal.code == "SC344":
            raise refusal.as_error(shown(name))
        self.skipped.append((name, refusal.reason))
        self.damaged += refusal.is_image

    def skip(self, name: str, reason: str) -> None:
        """Count a file that was not even opened."""
        self.refuse(name, ImageFault("SC341", reason, is_image=False))

    def accept(self, decoded: Decoded) -> None:
        """Count what was done to an image."""
        self.good += 1
        longer, shorter = max(decoded.height, decoded.width), min(decoded.height, decoded.width)
        happened = {
            "SC831": decoded.is_deep,
            "SC832": decoded.has_frames,
            "SC833": decoded.was_transparent,
            "SC834": longer > _LONG * shorter,
            "SC835": decoded.has_profile,
        }
        for code, did in happened.items():
            if did:
                self.counts[code] = self.counts.get(code, 0) + 1

    def finish(self, notes: Notes) -> None:
        """Add the notes; raise if nothing was read, or if too much is damaged."""
        named = _named(self.skipped)
        # One damaged file never stops the work, however few there are.
        if self.damaged > 1 and 100 * self.damaged > self.good + self.damaged:
            raise ImageError(
                "SC341",
                f"at most 1 % of the images may be damaged; got {self.damaged:,} of {self.good + self.damaged:,}: "
                f"{_named([(name, reason) for name, reason in self.skipped if reason in _DAMAGE])}",
                where=self.where,
                hint="Mend or remove them",
            )
        if not self.good:
            count = len(self.skipped)
            none = f"none of {count:,} files is one" if count > 1 else "the only file cannot be read as one"
            found = f"{none}: {named}" if count else "found none"
            raise ImageError("SC345", f"must hold images; {found}", where=self.where)
        if self.skipped:
            text = plural("file", len(self.skipped)) + f" skipped: {named}"
            notes.add(
                "SC809", text, count=len(self.skipped), hint="Mend or remove them; with --strict this is an error"
            )
        for code, text in _TEXTS.items():
            if code in self.counts:
                count = self.counts[code]
                notes.add(code, f"{plural('image', count)} {text}", count=count)


_DAMAGE = frozenset({"cut off before its end", "damaged", "larger than 67,108,864 pixels"})
_TEXTS = {
    "SC831": "with 16-bit pixels scaled to 8 bits",
    "SC832": "with several frames, of which the first was used",
    "SC833": "with transparent pixels laid over white",
    "SC834": f"with one side more than {_LONG} times the other",
    "SC835": "with a colour profile, which was ignored",
}


def plural(word: str, count: int) -> str:
    """Return "file" or "files".

    Examples
    --------
    >>> plural("file", 1), plural("file", 3)
    ('file', 'files')
    """
    return word if count == 1 else f"{word}s"


def _named(skipped: Sequence[tuple[str, str]]) -> str:
    """The first names with their reasons, and how many more there are."""
    first = ", ".join(f'"{shown(name)}" ({reason})' for name, reason in sorted(skipped)[:_NAMED])
    return first if len(skipped) <= _NAMED else f"{first} and {len(skipped) - _NAMED:,} more"


@dataclass(frozen=True, eq=False)
class Read:
    """Images that were decoded, with the files they came from."""

    pixels: Pixels
    files: list[ImageFile]
    spec: ImageSpec


def read_files(
    files: Sequence[ImageFile],
    options: ImageOptions,
    spec: ImageSpec | None,
    tally: Tally,
    notes: Notes,
    *,
    labelled: bool,
    progress: Progress | None,
) -> Read:
    """Decode files into one array; without `spec` its size and channels are found first."""
    is_new = spec is None
    keep_colour = spec is not None or options.channels is not None
    if spec is None:
        files, spec = _find_spec(files, options, tally, notes, labelled=labelled)
    check_pixels_fit(len(files), spec, tally.where)
    pixels = np.empty((len(files), *spec.shape), dtype=np.uint8)
    read: list[ImageFile] = []
    sizes: list[tuple[int, int]] = []
    all_grey = True
    for file, result in _decoded(files, spec, progress):
        if isinstance(result, Decoded) and labelled and file.label is None:
            result = _OUTSIDE
        if isinstance(result, ImageFault):
            tally.refuse(file.name, result)
            continue
        tally.accept(result)
        pixels[len(read)] = result.pixels
        sizes.append((result.height, result.width))
        all_grey = all_grey and result.is_grey
        read.append(file)
    pixels = pixels[: len(read)]
    if is_new:
        note_sizes(sizes, spec, notes)
    if not keep_colour and spec.channels == 3 and all_grey and read:
        # Equal channels go through the resizing alike, so the first one is what a grey reading would have given.
        spec = ImageSpec(spec.height, spec.width, 1, spec.resize)
        pixels = np.ascontiguousarray(pixels[..., :1])
    return Read(pixels, read, spec)


def read_file_batches(
    files: Sequence[ImageFile], spec: ImageSpec, tally: Tally, *, batch_rows: int, labelled: bool
) -> Iterator[tuple[Read, list[tuple[str, str]]]]:
    """Decode files into arrays of at most `batch_rows`, with the files that were skipped on the way."""
    for start in range(0, len(files), batch_rows):
        before = len(tally.skipped)
        read = read_files(
            files[start : start + batch_rows], _NO_OPTIONS, spec, tally, Notes(), labelled=labelled, progress=None
        )
        yield read, tally.skipped[before:]


_NO_OPTIONS = ImageOptions()
_OUTSIDE = ImageFault("SC341", "outside the class folders", is_image=False)


def _find_spec(
    files: Sequence[ImageFile], options: ImageOptions, tally: Tally, notes: Notes, *, labelled: bool
) -> tuple[list[ImageFile], ImageSpec]:
    """Size and channels of the model's input from the headers, and the files that have one."""
    good: list[ImageFile] = []
    headers: list[Header] = []
    for file, result in _each(files, _header_of, None):
        if isinstance(result, Header) and labelled and file.label is None:
            result = _OUTSIDE
        if isinstance(result, ImageFault):
            tally.refuse(file.name, result)
        else:
            good.append(file)
            headers.append(result)
    if not good:
        tally.finish(notes)  # raises
    # The size comes from the images the model learns from, if the source says which ones those are.
    fitted = [header for file, header in zip(good, headers, strict=True) if file.part in ("", "fit")] or headers
    size = options.size or default_size(
        [header.height for header in fitted], [header.width for header in fitted], options.longest
    )
    channels = options.channels or (1 if all(header.is_grey for header in headers) else 3)
    spec = ImageSpec(*size, channels, options.resize)
    return good, spec


def note_sizes(sizes: Sequence[tuple[int, int]], spec: ImageSpec, notes: Notes) -> None:
    """SC834, if images are not of the model's size."""
    resized = sum(size != (spec.height, spec.width) for size in sizes)
    if resized:
        kinds = len(set(sizes))
        what = f"of {kinds:,} different sizes" if kinds > 1 else f"of {sizes[0][0]}x{sizes[0][1]}"
        text = f"of {len(sizes):,} images {what} resized to {spec.height}x{spec.width} ({spec.resize})"
        notes.add("SC834", text, count=resized, hint="--image-size and --resize choose how")


def conform_all(pixels: Pixels, spec: ImageSpec) -> Pixels:
    """Bring an array of images to `spec`; at the model's size and channels it is returned as it is."""
    if pixels.shape[1:] == spec.shape:
        return pixels
    out = np.empty((len(pixels), *spec.shape), dtype=np.uint8)
    for at, image in enumerate(pixels):
        out[at] = conform(image, spec)
    return out


def check_pixels_fit(n_images: int, spec: ImageSpec, where: str) -> None:
    """Refuse, before it is begun, what cannot fit into the machine."""
    wanted, there = n_images * spec.height * spec.width * spec.channels, memory_bytes()
    if wanted > there:
        raise TooLargeError(
            "SC606",
            f"{n_images:,} images of {spec.height}x{spec.width}x{spec.channels} need {wanted / 2**30:.1f} GiB; "
            f"this machine has {there / 2**30:.1f} GiB",
            where=where,
            hint="Pass a smaller --image-size, or fewer images with --rows",
        )


def memory_bytes() -> int:
    """The memory of this machine, or of the container we run in if that is less."""
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return there
    return min(there, int(limit)) if limit.isdigit() else there


def worker_count() -> int:
    """Threads to decode with: the asked-for number, else the cores we may use."""
    for name in ("SOFTCLASS_NUM_THREADS", "OMP_NUM_THREADS"):
        if os.environ.get(name, "").isdigit() and int(os.environ[name]) > 0:
            return int(os.environ[name])
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _decoded(
    files: Sequence[ImageFile], spec: ImageSpec, progress: Progress | None
) -> Iterator[tuple[ImageFile, Decoded | ImageFault]]:
    return _each(files, partial(_pixels_of, spec=spec), progress)


def _each(
    files: Sequence[ImageFile], work: Callable[[ImageFile], _Result], progress: Progress | None
) -> Iterator[tuple[ImageFile, _Result]]:
    """Work on every file, several at a time, results in the order of the files."""
    with ThreadPoolExecutor(min(worker_count(), _BLOCK)) as pool:
        for start in range(0, len(files), _BLOCK):
            block = files[start : start + _BLOCK]
            with limits():  # not across a yield: the caller's own code keeps Pillow's limits as it set them
                results = list(pool.map(work, block))
            yield from zip(block, results, strict=True)
            if progress is not None:
                progress(start + len(block), len(files))


def _header_of(file: ImageFile) -> Header | ImageFault:
    if isinstance(file.store, OpenedImages):
        image = file.store.images[int(file.key.removeprefix("index "))]
        return _header_of_opened(image)
    try:
        with file.store.open(file.key) as stream:
            return read_header(stream)
    except OSError as error:
        return _unreadable(error)


def _header_of_opened(image: Any) -> Header | ImageFault:
    """Decoded at once: an image in memory has no header to read cheaply."""
    decoded = decode_open(image, ImageSpec(1, 1, 3, "stretch"))
    return decoded if isinstance(decoded, ImageFault) else Header(decoded.height, decoded.width, decoded.is_grey)


def _pixels_of(file: ImageFile, spec: ImageSpec) -> Decoded | ImageFault:
    if isinstance(file.store, OpenedImages):
        return decode_open(file.store.images[int(file.key.removeprefix("index "))], spec)
    try:
        with file.store.open(file.key) as stream:
            return decode(stream, spec)
    except OSError as error:
        return _unreadable(error)


def _unreadable(error: OSError) -> ImageFault:
    """Our own words where a store gave them, else one phrase for what the system says."""
    return ImageFault("SC341", "may not be read" if error.errno else str(error), is_image=False)
