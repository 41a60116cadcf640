"""How numbers, lists and small tables are laid out on a screen."""

from __future__ import annotations

import os
import shlex
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from softclass.errors import shown


def cells(text: str) -> int:
    """Return how many columns of a terminal the text takes; Chinese characters take two.

    Examples
    --------
    >>> cells("特征1")
    5
    """
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def padded(text: str, width: int, *, right: bool = False) -> str:
    """Return the text filled with blanks to a width on the screen."""
    blanks = " " * max(0, width - cells(text))
    return blanks + text if right else text + blanks


def wrapped(text: str, width: int) -> list[str]:
    """Break text into lines of at most `width` columns: behind a dot in the middle, else at blanks.

    Examples
    --------
    >>> wrapped("fit 193 · test 69 · seed 0", 12)
    ['fit 193 ·', 'test 69 ·', 'seed 0']
    >>> wrapped("a longer sentence", 9)
    ['a longer', 'sentence']
    """
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        *early, last = paragraph.split(" · ")
        for piece in [*(f"{one} ·" for one in early), last]:
            for part in [piece] if cells(piece) <= width else piece.split(" "):
                longer = f"{line} {part}" if line else part
                if line.strip() and cells(longer) > width:
                    lines.append(line.rstrip())
                    line = part
                else:
                    line = longer
        lines.append(line.rstrip())
    return lines


def counted(number: int, word: str) -> str:
    """Return a number with its word: "1 row", "2 rows".

    Examples
    --------
    >>> counted(1, "row"), counted(2000, "row")
    ('1 row', '2,000 rows')
    """
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def table_lines(rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> list[str]:
    """Align the cells of a small table into columns; those named in `right` are aligned to the right.

    Examples
    --------
    >>> table_lines([["class", "n"], ["Adelie", "30"]], right=[1])
    ['class    n', 'Adelie  30']
    """
    widths = [max(cells(row[index]) for row in rows) for index in range(len(rows[0]))]
    return [
        "  ".join(
            padded(cell, width, right=index in right)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def share(value: float | None) -> str:
    """Return a number between 0 and 1 with three decimals, more where it would read as 0 or 1 and is not.

    Examples
    --------
    >>> share(0.98551), share(0.99996), share(1e-9), share(None)
    ('0.986', '0.99996', '1e-09', '-')
    """
    if value is None:
        return "-"
    if 0.0 < value < 0.0005:
        return f"{value:.1g}"
    for decimals in range(3, 10):
        text = f"{value:.{decimals}f}"
        if float(text) != 1.0 or value == 1.0:
            return text
    return "almost 1"


def plain_figure(value: float | None) -> str:
    """Return a measured number with three significant digits.

    Examples
    --------
    >>> plain_figure(0.04912), plain_figure(1234.5), plain_figure(1.0549), plain_figure(None)
    ('0.0491', '1,234', '1.05', '-')
    """
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 and abs(value) < 1e15 else f"{value:.3g}"


def duration(seconds: float) -> str:
    """Return a time in seconds or minutes.

    Examples
    --------
    >>> duration(0.034), duration(8.94), duration(62)
    ('0.03 s', '8.9 s', '1 m 02 s')
    """
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} m" if hours else f"{minutes} m {rest:02d} s"


def size(n_bytes: int) -> str:
    """Return a number of bytes in decimal units.

    Examples
    --------
    >>> size(512), size(4123)
    ('512 B', '4.1 kB')
    """
    amount = float(n_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def quoted_path(path: str | os.PathLike[str]) -> str:
    """Return a path as a shell would take it.

    Examples
    --------
    >>> quoted_path("my runs/model.onnx")
    "'my runs/model.onnx'"
    """
    return shlex.quote(shown(os.fspath(path), 10_000))


def jsonable(value: Any) -> Any:
    """Return plain data that JSON can hold: NaN and infinity become null, keys become text."""
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    if isinstance(value, float):
        return value if value - value == 0 else None
    if value is None or isinstance(value, (str, int, bool)):
        return value
    return jsonable(value.to_dict()) if hasattr(value, "to_dict") else str(value)
