"""Where the records of a delimited text begin and end, and how many fields each has, found without a loop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from softclass.data.files import MAX_LINE_BYTES
from softclass.errors import TableError, shown

MAX_CELL_BYTES = 2**20
_LF, _CR, _QUOTE = b"\n"[0], b"\r"[0], b'"'[0]

IntArray = npt.NDArray[np.int64]
ByteArray = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Records:
    """
    The whole records at the front of a piece of text.

    Attributes
    ----------
    starts, ends : int64 array of shape (n_records,)
        Offsets of the first byte and of the byte after the last; line ends are not counted in.
    fields : int64 array of shape (n_records,)
        Number of fields; 1 for a blank line.
    lines : int64 array of shape (n_records,)
        Number of the line in which each begins.
    n_used : int
        Offset of the first byte that belongs to no whole record.
    next_line : int
        Number of the line in which that byte stands.
    """

    starts: IntArray
    ends: IntArray
    fields: IntArray
    lines: IntArray
    n_used: int
    next_line: int

    def __len__(self) -> int:
        return len(self.starts)


def find_records(data: bytes, delimiter: str, *, line: int, final: bool, where: str) -> Records:
    """
    Find the records of a text that begins with a record.

    A quote opens a quoted cell only where the cell begins; inside, two quotes mean one, and delimiters and line ends
    are text. Lines end with LF, CR or CRLF.

    Parameters
    ----------
    data : bytes
        Valid UTF-8.
    delimiter : str
        One ASCII character.
    line : int
        Number of the line in which `data` begins.
    final : bool
        Whether nothing follows; then the last record needs no line end.
    where : str
        What messages call the file.

    Returns
    -------
    Records
        The whole ones.

    Raises
    ------
    TableError
        SC306: text after a closing quote, a quote that is never closed, a line over 16 MiB, a cell over 1 MiB.

    Examples
    --------
    >>> records = find_records(b'a,b\\n"1\\n2",3\\n', ",", line=1, final=True, where="a.csv")
    >>> records.fields.tolist(), records.lines.tolist()
    ([2, 2], [1, 2])
    """
    codes = np.frombuffer(data, np.uint8)
    line_ends = _line_ends(codes, data, final)
    separators = np.flatnonzero(codes == ord(delimiter))
    record_ends = line_ends
    opened = -1
    if b'"' in data:
        quotes = _Quotes(codes, ord(delimiter))
        quotes.refuse_text_after(data, line, line_ends, final, where)
        record_ends = line_ends[~quotes.inside(line_ends)]
        separators = separators[~quotes.inside(separators)]
        opened = quotes.left_open()
    n_used = int(record_ends[-1]) + 1 if len(record_ends) else 0
    if final and n_used < len(data):
        if opened >= n_used:
            place = f"{where}, line {_line_at(opened, line, line_ends)}"
            raise TableError("SC306", "a quote opens here and is never closed", where=place)
        record_ends = np.append(record_ends, len(data))
        n_used = len(data)
    elif len(data) - n_used > MAX_LINE_BYTES:
        _refuse_long_line(n_used, opened, line, line_ends, where)
    starts = np.concatenate([[0], record_ends[:-1] + 1]).astype(np.int64)[: len(record_ends)]
    ends = _without_cr(codes, starts, record_ends)
    _refuse_long(starts, ends, separators, opened, line, line_ends, where)
    fields = np.diff(np.searchsorted(separators, record_ends), prepend=0) + 1
    lines = line + np.searchsorted(line_ends, starts)
    next_line = line + int(np.searchsorted(line_ends, n_used))
    return Records(starts, ends, fields, lines, n_used, next_line)


def _line_ends(codes: ByteArray, data: bytes, final: bool) -> IntArray:
    """Offsets of the last byte of every line end, also inside quotes."""
    if b"\r" not in data:
        return np.flatnonzero(codes == _LF)
    is_end = codes == _LF
    is_cr = codes == _CR
    alone = is_cr.copy()
    alone[:-1] &= ~is_end[1:]
    # At the end of a piece a CR may be the first half of CRLF.
    alone[-1] &= final
    return np.flatnonzero(is_end | alone)


def _without_cr(codes: ByteArray, starts: IntArray, record_ends: IntArray) -> IntArray:
    """Ends of the records without the CR of a CRLF."""
    before = np.maximum(record_ends - 1, 0)
    at_end = np.minimum(record_ends, len(codes) - 1)
    is_crlf = (record_ends > starts) & (record_ends < len(codes)) & (codes[before] == _CR) & (codes[at_end] == _LF)
    ends: IntArray = record_ends - is_crlf
    return ends


class _Quotes:
    """
    The runs of quotes in a text and which of them open and close cells.

    A run of an even number changes nothing: pairs inside are quotes, an even run at the front of a cell opens and
    closes it. An odd run at the front of a cell turns the state over. An odd run elsewhere closes the cell if it was
    open, and is plain text otherwise: outside afterwards in both cases. So the state after a run is the parity of the
    turns since the last odd run that stood elsewhere.
    """

    def __init__(self, codes: ByteArray, delimiter: int) -> None:
        positions = np.flatnonzero(codes == _QUOTE)
        first = np.flatnonzero(np.diff(positions, prepend=-2) > 1)
        self.starts = positions[first]
        lengths = np.diff(first, append=len(positions))
        self.stops = self.starts + lengths
        before = codes[np.maximum(self.starts - 1, 0)]
        self.at_front = (self.starts == 0) | (before == delimiter) | (before == _LF) | (before == _CR)
        self.odd = lengths % 2 == 1
        turns = np.cumsum(self.odd & self.at_front)
        resets = np.maximum.accumulate(np.where(self.odd & ~self.at_front, np.arange(len(first)), -1))
        self.after = ((turns - np.where(resets >= 0, turns[resets], 0)) % 2).astype(bool)
        self.before = np.concatenate([[False], self.after[:-1]])
        self.codes = codes
        self.delimiter = delimiter

    def inside(self, positions: IntArray) -> npt.NDArray[np.bool_]:
        """Return which positions stand inside a quoted cell."""
        run = np.searchsorted(self.starts, positions) - 1
        return np.where(run >= 0, self.after[run], False)

    def left_open(self) -> int:
        """Offset of the quote that opens a cell which the text does not close; -1 if there is none."""
        if not self.after[-1]:
            return -1
        return int(self.starts[np.flatnonzero(self.after & ~self.before)[-1]])

    def refuse_text_after(self, data: bytes, line: int, line_ends: IntArray, final: bool, where: str) -> None:
        """SC306 where a closing quote is followed by anything but a delimiter or a line end."""
        closes = (self.before & self.odd) | (~self.before & self.at_front & ~self.odd)
        inner = np.minimum(self.stops, len(self.codes) - 1)
        follows = self.codes[inner]
        fine = (follows == self.delimiter) | (follows == _LF) | (follows == _CR) | (self.stops == len(self.codes))
        faults = np.flatnonzero(closes & ~fine)
        if not len(faults):
            return
        fault = faults[0]
        opens = np.flatnonzero(self.after[:fault] & ~self.before[:fault])
        opened = int(self.starts[opens[-1]]) if self.before[fault] else int(self.starts[fault])
        stop = int(self.stops[fault])
        text = data[stop : stop + 40].decode("utf-8", "ignore").splitlines()[0]
        message = f'after a closing quote the cell must end; got "{shown(text)}"'
        hint = f"The quote opened on line {_line_at(opened, line, line_ends)}; inside a quoted cell write two quotes"
        raise TableError("SC306", message, where=f"{where}, line {_line_at(stop, line, line_ends)}", hint=hint)


def _line_at(offset: int, line: int, line_ends: IntArray) -> int:
    """Return the number of the line in which an offset stands."""
    return line + int(np.searchsorted(line_ends, offset))


def _refuse_long(
    starts: IntArray, ends: IntArray, separators: IntArray, opened: int, line: int, line_ends: IntArray, where: str
) -> None:
    """SC306 for records and cells of absurd length."""
    lengths = ends - starts
    if not len(lengths) or lengths.max() <= MAX_CELL_BYTES:
        return
    long_lines = np.flatnonzero(lengths > MAX_LINE_BYTES)
    if len(long_lines):
        _refuse_long_line(int(starts[long_lines[0]]), opened, line, line_ends, where)
    for record in np.flatnonzero(lengths > MAX_CELL_BYTES):
        start, end = starts[record], ends[record]
        inner = separators[np.searchsorted(separators, start) : np.searchsorted(separators, end)]
        borders = np.concatenate([[start - 1], inner, [end]])
        sizes = np.diff(borders) - 1
        if sizes.max() > MAX_CELL_BYTES:
            place = f"{where}, line {_line_at(int(borders[int(sizes.argmax())]) + 1, line, line_ends)}"
            message = f"a cell may hold at most {MAX_CELL_BYTES:,} bytes; this one holds {int(sizes.max()):,}"
            raise TableError("SC306", message, where=place, hint="Is a quote never closed?")


def _refuse_long_line(start: int, opened: int, line: int, line_ends: IntArray, where: str) -> None:
    """SC306 for a record over the limit, at the quote that opened it if there is one."""
    place = f"{where}, line {_line_at(max(start, opened), line, line_ends)}"
    if opened >= start:
        message = f"a quote opens here and is not closed within {MAX_LINE_BYTES:,} bytes"
    else:
        message = f"a row may hold at most {MAX_LINE_BYTES:,} bytes; this one holds more"
    raise TableError("SC306", message, where=place)
