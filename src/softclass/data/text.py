"""Bytes in any encoding to blocks of valid UTF-8, with the byte and the line of whatever is not text."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import BinaryIO

from softclass.errors import TableError, UsageError, shown

BLOCK_BYTES = 4 * 2**20
_SAMPLE_BYTES = 2**16

_MARKS = (  # longest first: the mark of UTF-32 begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class TextStream:
    """
    The text of a file, in blocks of UTF-8 without a byte order mark.

    Parameters
    ----------
    file : binary file object
        Read once, from front to back.
    encoding : str or None
        What the user said; a byte order mark wins, and without either it is UTF-8.
    where : str
        What messages call the file.
    block_bytes : int
        How much is read at a time.

    Attributes
    ----------
    encoding : str
        The encoding, as Python calls it.

    Raises
    ------
    UsageError, TableError
        SC207, if Python knows no such encoding; SC304, if the bytes look like UTF-16 or UTF-32 without a mark.

    Examples
    --------
    >>> import io
    >>> stream = TextStream(io.BytesIO("é".encode("utf-16")), None, "a.csv")
    >>> stream.encoding, b"".join(stream.blocks()).decode()
    ('utf-16-le', 'é')
    """

    def __init__(self, file: BinaryIO, encoding: str | None, where: str, *, block_bytes: int = BLOCK_BYTES) -> None:
        self._file = file
        self._where = where
        self._block_bytes = block_bytes
        self._first = file.read(max(block_bytes, 16))
        mark, marked = next(((mark, name) for mark, name in _MARKS if self._first.startswith(mark)), (b"", None))
        asked = _known_encoding(encoding)
        self.encoding = marked or asked or "utf-8"
        self._offset = len(mark)  # of the first byte of self._first, in the file
        self._first = self._first[len(mark) :]
        self._line = 1
        self._last = b""
        if marked is None and asked is None:
            self._refuse_wide_text()

    def blocks(self) -> Iterator[bytes]:
        """Yield the text; a character is never cut in two."""
        blocks = self._utf8_blocks() if self.encoding == "utf-8" else self._other_blocks()
        for block in blocks:
            at = block.find(b"\0")
            if at >= 0:
                self._count_lines(block[:at])
                raise TableError("SC306", "the text must not hold a NUL byte", where=self._place())
            self._count_lines(block)
            yield block

    def _utf8_blocks(self) -> Iterator[bytes]:
        rest, block = b"", self._first
        while block or rest:
            data = rest + block
            used = len(data)
            if not data.isascii():
                try:
                    _, used = codecs.utf_8_decode(data, "strict", not block)
                except UnicodeDecodeError as fault:
                    raise self._fault(data, fault, self._offset) from None
            yield data[:used]
            self._offset += used
            rest, block = data[used:], self._file.read(self._block_bytes) if block else b""

    def _other_blocks(self) -> Iterator[bytes]:
        decoder = codecs.getincrementaldecoder(self.encoding)("strict")
        block, at_start = self._first, True
        while True:
            try:
                text = decoder.decode(block, not block)
            except UnicodeDecodeError as fault:
                # The object holds bytes kept from the block before in front of this one.
                raise self._fault(fault.object, fault, self._offset + len(block) - len(fault.object)) from None
            self._offset += len(block)
            if at_start and text:
                text, at_start = text.removeprefix("\ufeff"), False
            try:
                yield text.encode("utf-8")
            except UnicodeEncodeError:
                message = f"the text must be {self._shown_encoding()}; got half a surrogate pair"
                raise TableError("SC304", message, where=self._place()) from None
            if not block:
                return
            block = self._file.read(self._block_bytes)

    def _count_lines(self, block: bytes) -> None:
        """Count line ends: LF, CR, and CRLF as one."""
        self._line += block.count(b"\n")
        if b"\r" in block:
            self._line += block.count(b"\r") - block.count(b"\r\n")
        if self._last == b"\r" and block[:1] == b"\n":
            self._line -= 1
        self._last = block[-1:] or self._last

    def _place(self) -> str:
        return f"{self._where}, line {self._line}"

    def _shown_encoding(self) -> str:
        return shown(self.encoding.upper() if self.encoding.startswith("utf") else self.encoding)

    def _fault(self, data: bytes, fault: UnicodeDecodeError, offset: int) -> TableError:
        """SC304 with the byte, its offset in the file, its line and the likely encoding."""
        if self.encoding == "utf-8":
            self._count_lines(data[: fault.start])
            likely = likely_encoding(data[max(0, fault.start - _SAMPLE_BYTES) : fault.start + _SAMPLE_BYTES])
            hint = f"If it is {likely}, pass --encoding {likely}" if likely else ""
        else:
            decoded = codecs.decode(data[: fault.start], self.encoding, "ignore")
            self._count_lines(decoded.encode("utf-8", "ignore"))
            hint = "Pass another --encoding"
        byte = f"0x{data[fault.start]:02x}"
        message = f"the text must be {self._shown_encoding()}; got the byte {byte} at offset {offset + fault.start:,}"
        return TableError("SC304", message, where=self._place(), hint=hint)

    def _refuse_wide_text(self) -> None:
        """Refuse UTF-16 and UTF-32 without a mark: in both most texts hold a NUL in nearly every character."""
        sample = self._first[:_SAMPLE_BYTES]
        likely = _wide_encoding(sample[: len(sample) // 4 * 4] if len(sample) >= 8 else sample)
        if likely:
            family = likely[:6].upper()
            message = f"the bytes look like {family} without a byte order mark"
            raise TableError("SC304", message, where=self._where, hint=f"Pass --encoding {likely}")


def _known_encoding(encoding: str | None) -> str | None:
    """Return Python's name of a text encoding."""
    if encoding is None:
        return None
    try:
        found = codecs.lookup(encoding)
        if found.incrementaldecoder is None or not isinstance("".encode(encoding), bytes):
            raise LookupError
    except (LookupError, ValueError, UnicodeError):
        message = f'--encoding must be a text encoding that Python knows; got "{shown(encoding)}"'
        hint = "Common ones: utf-8, utf-16, gb18030, big5, shift_jis, euc_kr, cp1251, cp1252"
        raise UsageError("SC207", message, hint=hint) from None
    # utf-8-sig: the mark is removed anyway. utf-16 without a mark would depend on the machine: little-endian.
    plain = {"utf-8-sig": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}
    return plain.get(found.name, found.name)


def _wide_encoding(sample: bytes) -> str | None:
    """Return which of the wide encodings a text without a mark looks like."""
    count = len(sample)
    if sample.count(0) < max(3, count / 10):  # else a stray NUL in other text
        return None
    zeros = [sample[k::4].count(0) / (count / 4) for k in range(4)]
    # Code points end at 0x10ffff: the highest byte of UTF-32 is always 0, the next nearly always.
    if count >= 8 and zeros[3] > 0.99 and zeros[2] > 0.9:
        return "utf-32-le"
    if count >= 8 and zeros[0] > 0.99 and zeros[1] > 0.9:
        return "utf-32-be"
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    if min(even, odd) > 0.05 * max(even, odd):
        return None
    return "utf-16-le" if odd > even else "utf-16-be"


def likely_encoding(sample: bytes) -> str | None:
    """
    Return the encoding that bytes, which are not UTF-8, are most likely written in.

    Parameters
    ----------
    sample : bytes
        A piece of the text; it may begin and end in the middle of a character.

    Returns
    -------
    str or None
        "gb18030" if the piece reads as common Chinese, else "cp1252" if it reads as that, else None.

    Examples
    --------
    >>> likely_encoding("花,萼片长度,类别".encode("gb18030")), likely_encoding("Größe".encode("cp1252"))
    ('gb18030', 'cp1252')
    """
    if _is_common_chinese(sample):
        return "gb18030"
    try:
        sample.decode("cp1252")
    except UnicodeDecodeError:
        return "latin-1"
    return "cp1252"


def _is_common_chinese(sample: bytes) -> bool:
    """Return whether bytes read as GB18030 are mostly characters of GB 2312's first level, and its punctuation."""
    for start in (0, 1, 2, 3):  # the piece may begin inside a character
        try:
            decoded = codecs.getincrementaldecoder("gb18030")("strict").decode(sample[start:])
        except UnicodeDecodeError:
            continue
        wide = [character.encode("gb18030") for character in decoded if character > "\x7f"]
        # First level: rows 16-55, bytes b0-d7 and a1-fe; punctuation and full-width forms: rows 1-3.
        common = sum(
            len(pair) == 2 and (0xB0 <= pair[0] <= 0xD7 or 0xA1 <= pair[0] <= 0xA3) and pair[1] >= 0xA1 for pair in wide
        )
        if wide and common >= 0.7 * len(wide):
            return True
    return False
