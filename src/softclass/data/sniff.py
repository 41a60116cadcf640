"""Which character stands between the cells: told by the first records, or not at all."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from softclass.data.records import Records, find_records
from softclass.errors import TableError, UsageError, shown

DELIMITERS = (",", ";", "\t", "|")
N_RECORDS = 100
_NAMED = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " "}
_DECIMAL_COMMA = re.compile(rb"[+-]?\d+,\d+")


def named(delimiter: str) -> str:
    """Return a delimiter as people write it."""
    return "tab" if delimiter == "\t" else f'"{shown(delimiter)}"'


def check_delimiter(delimiter: str) -> str:
    """
    Return the delimiter a user asked for, as one character.

    Examples
    --------
    >>> check_delimiter("tab"), check_delimiter(";")
    ('\\t', ';')
    """
    one = _NAMED.get(delimiter.lower(), delimiter)
    if len(one) != 1 or not one.isascii() or one in '"\r\n\0':
        message = f'--delimiter must be one ASCII character, or tab; got "{shown(delimiter)}"'
        raise UsageError("SC207", message)
    return one


@dataclass(frozen=True)
class _Candidate:
    """What the first records look like when split at one character."""

    delimiter: str
    fields: list[int]
    lines: list[int]

    @property
    def is_even(self) -> bool:
        return self.fields[0] >= 2 and len(set(self.fields)) == 1

    @property
    def usual(self) -> int:
        """The most frequent number of fields below the first record, the larger of equal ones."""
        rest = self.fields[1:] or self.fields
        return max(set(rest), key=lambda count: (rest.count(count), count))

    @property
    def share(self) -> float:
        return self.fields.count(self.fields[0]) / len(self.fields)


def sniff_delimiter(text: bytes, *, final: bool, tie_break: str | None, where: str, line: int = 1) -> str:
    """
    Return the one of ``, ; tab |`` that splits the first 100 records into equal numbers of fields, at least two.

    Parameters
    ----------
    text : bytes
        The front of the text, in UTF-8.
    final : bool
        Whether that is all of it.
    tie_break : str or None
        The delimiter to take if the text leaves it open.
    where : str
        What messages call the file.
    line : int, default 1
        Number of the line in which `text` begins.

    Returns
    -------
    str
        The delimiter; "," for a table of one column.

    Raises
    ------
    TableError
        SC305, if several do equally well, or the lines below the first have other numbers of fields than it.

    Examples
    --------
    >>> sniff_delimiter(b"a;b\\n1,5;2\\n", final=True, tie_break=None, where="a.csv")
    ';'
    """
    candidates, faults = [], []
    for delimiter in DELIMITERS:
        try:
            records = _first_records(text, delimiter, line, final, where)
        except TableError as fault:
            faults.append(fault)  # text after a quote that closes may be a delimiter that was not tried
            continue
        kept = np.flatnonzero(records.ends > records.starts)[:N_RECORDS]  # blank lines say nothing
        if len(kept):
            candidates.append(_Candidate(delimiter, records.fields[kept].tolist(), records.lines[kept].tolist()))
    if faults and not candidates:
        raise faults[0]
    if not candidates:
        return tie_break or ","  # the first record is longer than the piece
    even = [candidate for candidate in candidates if candidate.is_even]
    if even:
        return _best_even(even, text, tie_break, where)
    if all(candidate.fields[0] == 1 and candidate.usual == 1 for candidate in candidates):
        if faults:
            raise faults[0]
        return tie_break or ","
    return _best_uneven(candidates, tie_break, where)


def _first_records(text: bytes, delimiter: str, line: int, final: bool, where: str) -> Records:
    """Look at a small piece first: it nearly always holds enough records."""
    piece = text[: 2**16]
    if len(piece) < len(text):
        try:
            records = find_records(piece, delimiter, line=line, final=False, where=where)
        except TableError:
            records = None
        if records is not None and len(records) >= 2 * N_RECORDS:
            return records
    return find_records(text, delimiter, line=line, final=final, where=where)


def _best_even(even: list[_Candidate], text: bytes, tie_break: str | None, where: str) -> str:
    """Of the delimiters that split evenly, the one with most fields; a decimal comma is none."""
    others = [candidate for candidate in even if candidate.delimiter != ","]
    if others and len(others) < len(even) and _commas_are_decimal(text, others[0].delimiter):
        even = others
    most = max(candidate.fields[0] for candidate in even)
    best = [candidate.delimiter for candidate in even if candidate.fields[0] == most]
    if len(best) == 1:
        return best[0]
    if tie_break in best:
        return str(tie_break)
    names = " and ".join(named(delimiter) for delimiter in best)
    message = f"the delimiter must be clear; {names} both split the first records into {most} fields"
    raise TableError("SC305", message, where=where, hint=f"Pass --delimiter {_option(best[0])}")


def _commas_are_decimal(text: bytes, delimiter: str) -> bool:
    """Return whether every cell with a comma is a number, when the first lines are split at another character."""
    cells = re.split(rb"[\r\n" + re.escape(delimiter.encode()) + rb"]", text[: 2**16].rpartition(b"\n")[0] or text)
    return all(_DECIMAL_COMMA.fullmatch(cell.strip(b' "')) for cell in cells if b"," in cell)


def _best_uneven(candidates: list[_Candidate], tie_break: str | None, where: str) -> str:
    """No delimiter splits evenly: take one that most records agree on, so that the others can be named."""
    split = [c for c in candidates if c.fields[0] >= 2 and (c.share > 0.5 or c.usual == c.fields[0])]
    # A few rows only: one bad row of two is no majority, and still the header names the delimiter.
    split = split or [candidate for candidate in candidates if candidate.fields[0] >= 2 and len(candidate.fields) <= 3]
    if split:
        best = max(
            split, key=lambda candidate: (candidate.share, candidate.delimiter == tie_break, candidate.fields[0])
        )
        return best.delimiter
    worst = max(candidates, key=lambda candidate: candidate.usual)
    at = worst.fields.index(worst.usual, 1)
    noun = "field" if worst.fields[0] == 1 else "fields"
    message = (
        f"the first line must be the header; split at {named(worst.delimiter)}, line {worst.lines[0]} has "
        f"{worst.fields[0]} {noun} and line {worst.lines[at]} has {worst.usual}"
    )
    hint = "Remove the lines before the header, or pass --delimiter"
    raise TableError("SC305", message, where=where, hint=hint)


def _option(delimiter: str) -> str:
    return "tab" if delimiter == "\t" else f"'{delimiter}'"
