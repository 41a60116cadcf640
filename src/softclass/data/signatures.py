"""What a file is, by its first bytes; names and suffixes count for nothing here."""

from __future__ import annotations

import re
import zlib

HEAD_BYTES = 32  # enough for every signature below

# Sizes of the header that follows the 14 bytes of a BMP file: a CSV whose first column is "BMI" is not a picture.
_BMP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)
_PLAIN = (
    *(b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a"),
    *(b"II*\0", b"MM\0*", b"MM*\0", b"II\0*", b"II+\0", b"MM\0+"),  # TIFF in all its byte orders
)
_PPM = re.compile(rb"P[1-6][ \t\r\n]+[0-9#]|P[fF]\r?\n|P[0-9y](CMYK|RGBA)")


def looks_like_image(head: bytes) -> bool:
    r"""Return whether bytes begin like a JPEG, PNG, GIF, BMP, WEBP, TIFF or PPM file.

    Examples
    --------
    >>> looks_like_image(b"\x89PNG\r\n\x1a\n")
    True
    >>> looks_like_image(b"BMI,age,outcome\n")
    False
    """
    return (
        head.startswith(_PLAIN)
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
        or (head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS)
        or _PPM.match(head) is not None
    )


def looks_like_zip(head: bytes) -> bool:
    """Return whether bytes begin like a ZIP archive, which an NPZ file is too."""
    return head.startswith((b"PK\x03\x04", b"PK\x05\x06"))


def looks_like_npy(head: bytes) -> bool:
    """Return whether bytes begin like an NPY array."""
    return head.startswith(b"\x93NUMPY")


def looks_like_gzip(head: bytes) -> bool:
    """Return whether bytes begin like a gzip stream."""
    return head.startswith(b"\x1f\x8b\x08")


def looks_like_idx(head: bytes) -> bool:
    r"""Return whether bytes, gzip or not, begin like an IDX array: two zeros, a type, a number of axes.

    Examples
    --------
    >>> looks_like_idx(b"\0\0\x08\x03\0\0\0\x0a")
    True
    """
    if looks_like_gzip(head):
        try:
            head = zlib.decompressobj(wbits=31).decompress(head, 4)
        except zlib.error:
            return False
    return len(head) >= 4 and head[:2] == b"\0\0" and head[2] in (8, 9, 11, 12, 13, 14) and 1 <= head[3] <= 5
