"""Folders and ZIP archives of images: what files there are, which class and which part each belongs to.

The layout, the same in a folder and in an archive:

* Hidden and system files are passed over silently; everything else that is no image is skipped and named.
* A chain of single folders at the top is passed through: ``photos/all/cats``, ``photos/all/dogs`` have the classes cats
  and dogs.
* If all folders of the level that is reached are called train (training), val (valid, validation) or test (testing),
  they are parts, and the folders inside them are the classes.
* Otherwise they are the classes. Folders inside a class belong to the class.
"""

from __future__ import annotations

import errno
import os
import stat
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol

from softclass.data.paths import cannot_read
from softclass.data.signatures import HEAD_BYTES, looks_like_image
from softclass.errors import ImageError, shown

MAX_FILE_BYTES = 256 * 2**20  # one image file; 64 million pixels of four bytes
ROLES = {
    "train": "fit",
    "training": "fit",
    "val": "calibration",
    "valid": "calibration",
    "validation": "calibration",
    "test": "test",
    "testing": "test",
}
_SYSTEM_NAMES = frozenset(
    {"__macosx", "thumbs.db", "desktop.ini", "@eadir", "$recycle.bin", "system volume information"}
)
_DRAWING = """expected
  {name}/
    cat/    1.jpg 2.jpg ...
    dog/    1.jpg 2.jpg ...
or the same below {name}/train, {name}/validation and {name}/test"""


class FileStore(Protocol):
    """Something that holds image files by key: a folder or an archive."""

    name: str

    def open(self, key: str) -> BinaryIO:
        """Open one file for reading; raises OSError when it cannot be read."""
        ...


@dataclass
class Listing:
    """The files of a store, sorted, before their content is looked at; keys are relative, with "/"."""

    keys: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ImageFile:
    """One file that may be an image."""

    store: FileStore
    key: str
    name: str  # what people see: the key as text
    label: str | None = None
    part: str = ""


def is_passed_over(name: str) -> bool:
    """Return whether a file or folder of this name is hidden or belongs to the system."""
    return name.startswith(".") or name.casefold() in _SYSTEM_NAMES


def as_text(key: str) -> str:
    r"""Return a file name as text that every output can hold: bytes that are no UTF-8 become ``\xff``.

    Examples
    --------
    >>> as_text("caf\udce9.png")
    'caf\\xe9.png'
    """
    try:
        key.encode()
    except UnicodeEncodeError:
        return key.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return key


class Folder:
    """A folder on disk."""

    def __init__(self, root: Path, follow_links: bool = False) -> None:
        self.name = as_text(root.name or str(root))
        self._root = os.path.realpath(root)
        self._follow_links = follow_links

    def open(self, key: str, *, limit: int | None = MAX_FILE_BYTES) -> BinaryIO:
        """Open one file; anything but a regular file is refused without waiting for it."""
        descriptor = self._open(os.path.join(self._root, key))
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise OSError("not a regular file")
            if limit is not None and found.st_size > limit:
                raise OSError(f"larger than {MAX_FILE_BYTES >> 20} MiB")
        except BaseException:
            os.close(descriptor)
            raise
        return os.fdopen(descriptor, "rb")

    def list(self) -> Listing:
        """Return all files, sorted by the bytes of their names level by level."""
        listing = Listing()
        entered: set[tuple[int, int]] = set()
        self._enter("", entered, listing)
        pending = [""]  # a stack: no depth is too deep
        while pending:
            folder = pending.pop()
            inner: list[str] = []
            for name, is_folder in self._entries(folder, listing):
                key = f"{folder}{name}"
                if is_folder and self._enter(key, entered, listing):
                    inner.append(f"{key}/")
                elif not is_folder:
                    listing.keys.append(key)
            listing.folders.extend(key.rstrip("/") for key in inner)
            pending.extend(reversed(inner))
        listing.keys.sort(key=_path_order)
        return listing

    def _entries(self, folder: str, listing: Listing) -> Iterator[tuple[str, bool]]:
        """The (name, is a folder) of one folder, sorted; links judged, hidden files passed over."""
        try:
            with os.scandir(os.path.join(self._root, folder)) as entries:
                found = sorted((entry for entry in entries if not is_passed_over(entry.name)), key=_name_order)
        except OSError as error:
            if folder == "":
                raise cannot_read(self._root, error) from error
            listing.skipped.append((as_text(folder), "may not be read"))
            return
        for entry in found:
            reason = self._refused(entry)
            if reason is None:
                yield entry.name, entry.is_dir()
            else:
                listing.skipped.append((as_text(f"{folder}{entry.name}"), reason))

    def _refused(self, entry: os.DirEntry[str]) -> str | None:
        """Why a file or folder is not read, or None."""
        try:
            if entry.is_symlink():
                if not os.path.exists(entry.path):
                    return "a broken link"
                if not self._follow_links and entry.is_dir():
                    return "a link to a folder"
                if not self._follow_links and not self._is_inside(entry.path):
                    return "a link out of the folder"
            if not entry.is_dir() and not entry.is_file():
                return "not a regular file"
        except OSError:
            return "may not be read"
        return None

    def _enter(self, key: str, entered: set[tuple[int, int]], listing: Listing) -> bool:
        """Whether a folder is new: with links followed, the same one may be reached twice, or lie in itself."""
        if not self._follow_links:
            return True
        found = os.stat(os.path.join(self._root, key))
        identity = (found.st_dev, found.st_ino)
        if identity in entered:
            listing.skipped.append((as_text(key), "a folder that was read already"))
            return False
        entered.add(identity)
        return True

    def _open(self, path: str) -> int:
        """Open for reading; a link is resolved first, and refused if it leads out of the folder."""
        # O_NONBLOCK: should a pipe have taken the place of the file since it was listed, opening it must not hang.
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
        if self._follow_links:
            return os.open(path, flags)
        try:
            return os.open(path, flags | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
        if not self._is_inside(path):
            raise OSError("a link out of the folder")
        return os.open(os.path.realpath(path), flags | os.O_NOFOLLOW)

    def _is_inside(self, path: str) -> bool:
        return os.path.realpath(path).startswith(os.path.join(self._root, ""))


def _name_order(entry: os.DirEntry[str]) -> bytes:
    return os.fsencode(entry.name)


def _path_order(key: str) -> list[bytes]:
    return [os.fsencode(part) for part in key.split("/")]


def open_data_file(path: Path) -> BinaryIO:
    """Open one regular file of any size that the user named.

    Raises
    ------
    PathError
        SC603, if it cannot be read.
    """
    try:
        true = path.resolve()
        return Folder(true.parent, follow_links=True).open(true.name, limit=None)
    except OSError as error:
        raise cannot_read(path, error) from error


class SingleFiles:
    """Files that were named one by one; the key is the path as it was given, without the folders above them all."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.name = as_text(paths[0].name) if len(paths) == 1 else f"{len(paths):,} files"
        if any(path.is_absolute() for path in paths):
            # What people see, and what predictions hold, tells the files apart and nothing about the machine.
            above = os.path.commonpath([path.absolute().parent for path in paths])
            self._paths = {path.absolute().relative_to(above).as_posix(): path for path in paths}
        else:
            self._paths = {path.as_posix(): path for path in paths}

    def list(self) -> Listing:
        """Return the files in the order in which they were given."""
        return Listing(keys=list(self._paths))

    def open(self, key: str) -> BinaryIO:
        """Open one file."""
        path = self._paths[key]
        folder = Folder(path.resolve().parent, follow_links=True)
        return folder.open(path.resolve().name)


def unlabelled_files(store: FileStore, listing: Listing, prefix: str = "") -> list[ImageFile]:
    """Return every file below a store, for prediction."""
    return [ImageFile(store, key, prefix + as_text(key)) for key in listing.keys]


def labelled_files(store: FileStore, listing: Listing, empty: list[str], prefix: str = "") -> list[ImageFile]:
    """Return the files with class and part; folders that hold no image are added to `empty`.

    Raises
    ------
    ImageError
        SC343 when there is no folder per class; SC345 when there is no image at all.
    """
    top = _Level(store, listing, "")
    while len(top.populated) == 1 and not top.images:
        below = _Level(store, listing, f"{top.prefix}{top.populated[0]}/")
        if below.images:
            break
        top.note_empty(empty)
        top = below
    top.check(store)
    roles = [name for name in top.populated if name.casefold() in ROLES and _has_classes(store, listing, top, name)]
    if roles and len(roles) < len(top.populated):
        others = [name for name in top.populated if name not in roles]
        raise ImageError(
            "SC343",
            f'folders must be either all parts or all classes; got "{shown(roles[0])}" beside "{shown(others[0])}"',
            where=shown(store.name),
            hint="Give the folder of one part, or move the others away; " + _DRAWING.format(name=shown(store.name)),
        )
    top.note_empty(empty)
    if not roles:
        return _by_class(store, top, listing, "", prefix)
    files: list[ImageFile] = []
    for role in roles:
        part = _Level(store, listing, f"{top.prefix}{role}/")
        part.check(store)
        part.note_empty(empty)
        files.extend(_by_class(store, part, listing, ROLES[role.casefold()], prefix))
    loose = [key for key in listing.keys if not any(key.startswith(f"{top.prefix}{role}/") for role in roles)]
    return files + [ImageFile(store, key, prefix + as_text(key)) for key in loose]


def _has_classes(store: FileStore, listing: Listing, top: _Level, name: str) -> bool:
    """Whether a folder called train, test or the like holds folders of images; else it is a class of that name."""
    return bool(_Level(store, listing, f"{top.prefix}{name}/").populated)


def _by_class(store: FileStore, level: _Level, listing: Listing, part: str, prefix: str) -> list[ImageFile]:
    """The files below one level: those in its folders have a class; the others are kept to be named as skipped."""
    classes = {name: as_label(name) for name in level.populated}
    files = []
    for key in level.keys:
        name, slash, _ = key[len(level.prefix) :].partition("/")
        files.append(ImageFile(store, key, prefix + as_text(key), classes.get(name) if slash else None, part))
    if part == "" and level.prefix:
        outside = [key for key in listing.keys if not key.startswith(level.prefix)]
        files.extend(ImageFile(store, key, prefix + as_text(key)) for key in outside)
    return files


def as_label(folder: str) -> str:
    """Return the label that a folder name stands for: trimmed, and composed, since some systems decompose letters."""
    text = unicodedata.normalize("NFC", as_text(folder))
    return text.strip() or text


class _Level:
    """One level of a tree: the images that lie in it directly, and its folders with and without images."""

    def __init__(self, store: FileStore, listing: Listing, prefix: str) -> None:
        self.prefix = prefix
        self.keys = [key for key in listing.keys if key.startswith(prefix)]
        direct: list[str] = []
        below: dict[str, list[str]] = {}
        for key in self.keys:
            name, slash, _ = key[len(prefix) :].partition("/")
            if slash:
                below.setdefault(name, []).append(key)
            else:
                direct.append(key)
        self.images = [key for key in direct if _begins_like_image(store, key)]
        self.populated = [name for name, keys in below.items() if any(_begins_like_image(store, key) for key in keys)]
        names = dict.fromkeys(
            key[len(prefix) :] for key in listing.folders if key.startswith(prefix) and "/" not in key[len(prefix) :]
        )
        self._empty = [name for name in {**names, **below} if name and name not in self.populated]

    def note_empty(self, empty: list[str]) -> None:
        """Add the folders of this level that hold no image."""
        empty.extend(as_text(f"{self.prefix}{name}") for name in self._empty)

    def check(self, store: FileStore) -> None:
        """Refuse a level with images outside its folders, or with no images at all."""
        place = shown(as_text(f"{store.name}/{self.prefix}".rstrip("/")))
        drawing = _DRAWING.format(name=shown(store.name))
        if self.images:
            example = shown(as_text(self.images[0][len(self.prefix) :]))
            folders = f"{len(self.populated):,} folder{'s' if len(self.populated) != 1 else ''}"
            beside = f"beside its {folders}" if self.populated else "and no folders of images"
            raise ImageError(
                "SC343",
                f'images must lie in one folder per class; got {len(self.images):,} such as "{example}" {beside}',
                where=place,
                hint=drawing,
            )
        if not self.populated:
            archives = [as_text(key) for key in self.keys if key.casefold().endswith(".zip")]
            hint = f'Give "{shown(archives[0])}" itself if the images are in it' if archives else drawing
            raise ImageError("SC345", "must hold images; found none", where=place, hint=hint)


def _begins_like_image(store: FileStore, key: str) -> bool:
    """Whether a file can be read and its first bytes are those of an image."""
    try:
        with store.open(key) as file:
            return looks_like_image(file.read(HEAD_BYTES))
    except OSError:
        return False
