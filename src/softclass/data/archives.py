"""Images in a ZIP archive, read in memory: nothing is unpacked, and the names inside are text, never paths."""

from __future__ import annotations

import io
import lzma
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

from softclass.data.compression import BOMB_BYTES, BOMB_RATIO
from softclass.data.folders import MAX_FILE_BYTES, Listing, as_text, is_passed_over, open_data_file
from softclass.errors import ImageError, shown

# An archive that unpacks to more than 1 GiB and 200 times its own size is a bomb; images hardly shrink at all.
_ENCRYPTED, _UTF8 = 0x1, 0x800  # bits of a member's flags
_WINDOWS = 0
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


class Archive:
    """A ZIP archive; safe to read from several threads."""

    def __init__(self, path: Path) -> None:
        self.name = as_text(path.name)
        self._file = open_data_file(path)
        try:
            self._zip = open_zip(self._file, self.name)
        except BaseException:
            self._file.close()
            raise
        self._members = {_name_of(member): member for member in self._zip.infolist()}

    def close(self) -> None:
        """Close the file."""
        self._zip.close()
        self._file.close()

    def open(self, key: str) -> BinaryIO:
        """Unpack one member into memory; raises OSError when it is damaged or too large."""
        member = self._members[key]
        try:
            with self._zip.open(member) as stream:
                content = stream.read(MAX_FILE_BYTES + 1)
        except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError, NotImplementedError) as error:
            raise OSError("damaged in the archive") from error
        if len(content) > MAX_FILE_BYTES:
            raise OSError(f"larger than {MAX_FILE_BYTES >> 20} MiB")
        return io.BytesIO(content)

    def list(self) -> Listing:
        """Return all members that may be images, sorted as a folder would be."""
        listing = Listing()
        for key, member in self._members.items():
            parts = key.rstrip("/").split("/")
            if any(is_passed_over(part) for part in parts if part not in ("", ".", "..")):
                continue
            if member.is_dir():
                listing.folders.append(key.rstrip("/"))
                continue
            reason = _refused(member, parts)
            if reason is None:
                listing.keys.append(key)
            else:
                listing.skipped.append((as_text(key), reason))
        listing.keys.sort(key=lambda key: [part.encode("utf-8", "surrogateescape") for part in key.split("/")])
        return listing


def open_zip(file: BinaryIO, name: str) -> zipfile.ZipFile:
    """Open an archive after a look at what it claims to unpack to.

    Raises
    ------
    ImageError
        SC361 when it is damaged or a decompression bomb.
    """
    where = shown(name)
    size = file.seek(0, io.SEEK_END)
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, EOFError) as error:
        raise ImageError("SC361", "must be a whole ZIP archive; it is damaged", where=where) from error
    unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > BOMB_BYTES and unpacked > BOMB_RATIO * size:
        archive.close()
        raise ImageError(
            "SC361",
            f"must not unpack to more than {BOMB_RATIO} times its size; {size:,} bytes claim to hold {unpacked:,}",
            where=where,
        )
    return archive


def _name_of(member: zipfile.ZipInfo) -> str:
    """The name of a member with "/" between folders."""
    name = member.filename
    if not member.flag_bits & _UTF8 and not name.isascii():
        # Names without the flag are read as code page 437; some systems write UTF-8 there all the same. Any other
        # code page would be a guess, and the wrong one changes the classes.
        try:
            name = name.encode("cp437").decode()
        except UnicodeError:
            name = member.filename
    if member.create_system == _WINDOWS and "/" not in name:
        name = name.replace("\\", "/")
    return name.removeprefix("./")


def _refused(member: zipfile.ZipInfo, parts: list[str]) -> str | None:
    """Why a member is not read, or None."""
    if any(part in ("", ".", "..") for part in parts) or ":" in parts[0]:
        return "a path that leaves the archive"
    if member.flag_bits & _ENCRYPTED:
        return "encrypted"
    if member.compress_type not in _METHODS:
        return "packed by an unknown method"
    if member.file_size > MAX_FILE_BYTES:
        return f"larger than {MAX_FILE_BYTES >> 20} MiB"
    return None
