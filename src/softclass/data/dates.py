"""Dates and times in text: which way they are written, and how many seconds after 1970 they lie."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from softclass.errors import UsageError, shown

FloatArray = npt.NDArray[np.float64]

ISO = "iso"
UNCLEAR = "unclear"
_YEAR_FIRST = (ISO, "%Y/%m/%d", "%Y.%m.%d", "%Y年%m月%d日")
_YEAR_LAST = ((".", "%d.%m.%Y", "%m.%d.%Y"), ("/", "%d/%m/%Y", "%m/%d/%Y"), ("-", "%d-%m-%Y", "%m-%d-%Y"))
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

_PATTERNS = {
    "Y": "(?P<Y>[0-9]{4})", "y": "(?P<y>[0-9]{2})", "m": "(?P<m>[0-9]{1,2})", "d": "(?P<d>[0-9]{1,2})",
    "H": "(?P<H>[0-9]{1,2})", "I": "(?P<I>[0-9]{1,2})", "M": "(?P<M>[0-9]{1,2})", "S": "(?P<S>[0-9]{1,2})",
    "f": "(?P<f>[0-9]{1,9})", "p": "(?P<p>[AaPp][Mm])", "z": "(?P<z>Z|[+-][0-9]{2}(?::?[0-9]{2})?)",
    "Z": "(?:UTC|GMT|Z)",
    "b": "(?P<b>[A-Za-z]{3})[a-z]*", "B": "(?P<b>[A-Za-z]{3})[a-z]*", "a": "[A-Za-z]+", "A": "[A-Za-z]+", "%": "%",
}  # fmt: skip
_SHORT = {"T": "%H:%M:%S", "R": "%H:%M", "F": "%Y-%m-%d", "D": "%m/%d/%y", "e": "%d", "h": "%b"}
# A format that says nothing about the time of day takes it where it stands.
_TIME = (
    r"(?:[T ](?P<H>[0-9]{1,2}):(?P<M>[0-9]{2})(?::(?P<S>[0-9]{2})(?:[.,](?P<f>[0-9]{1,9}))?)?"
    r" ?(?P<z>Z|[+-][0-9]{2}(?::?[0-9]{2})?)?)?"
)


def date_format_of(words: pa.Array) -> str | None:
    """
    Return how all the words are written as dates.

    Parameters
    ----------
    words : pyarrow.Array of strings
        Distinct cells, none of them missing.

    Returns
    -------
    str or None
        "iso", or a format of ``strptime``; "unclear", if no day above 12 tells day from month; None, if they are no
        dates.

    Examples
    --------
    >>> date_format_of(pa.array(["2024-02-29", "2024-03-01 12:30"]))
    'iso'
    >>> date_format_of(pa.array(["1/2/2024", "13/2/2024"]))
    '%d/%m/%Y'
    >>> date_format_of(pa.array(["1/2/2024"])), date_format_of(pa.array(["2024-02-30"])) is None
    ('unclear', True)
    """
    if not len(words):
        return None
    front = words.slice(0, 20)
    for date_format in _YEAR_FIRST:
        if _fits(front, date_format) and _fits(words, date_format):
            return date_format
    for mark, day_first, month_first in _YEAR_LAST:
        if mark not in str(front[0]):
            continue
        fitting = [date_format for date_format in (day_first, month_first) if _fits(words, date_format)]
        if fitting:
            return fitting[0] if len(fitting) == 1 else UNCLEAR
    return None


def seconds_of(words: pa.Array, date_format: str) -> FloatArray:
    """
    Return the words as seconds since 1970 in UTC; NaN for what is no date in this format.

    Parameters
    ----------
    words : pyarrow.Array of strings
        Cells without blanks round them; null is NaN.
    date_format : str
        "iso", or a format of ``strptime``. If it has no time of day, one in the cell is read all the same; a time
        without a zone is UTC.

    Returns
    -------
    float64 array of shape (n_words,)
        The seconds.

    Raises
    ------
    UsageError
        SC207, if the format has a directive that is not known.

    Examples
    --------
    >>> seconds_of(pa.array(["1970-01-02T00:00:01.5+01:00", "no"]), "iso")
    array([82801.5,     nan])
    """
    parts = pc.extract_regex(words, _pattern(date_format))
    is_date = np.array(parts.is_valid().to_numpy(zero_copy_only=False), dtype=bool)
    found = {parts.type.field(k).name: parts.field(k) for k in range(parts.type.num_fields)}
    number = {name: _numbers(found[name]) for name in "YymdHIMS" if name in found}
    zeros = np.zeros(len(words), np.int64)
    year = number.get("Y", zeros + 1970)
    if "y" in number:
        year = np.where(number["y"] < 69, 2000, 1900) + number["y"]  # as POSIX and Python have it
    month = _months(found["b"]) if "b" in found else number.get("m", zeros + 1)
    day = number.get("d", zeros + 1)
    hour = number.get("H", zeros)
    if "I" in number:
        late = np.array([str(text).lower() == "pm" for text in found["p"].to_pylist()]) if "p" in found else zeros > 0
        is_date &= (number["I"] >= 1) & (number["I"] <= 12)
        hour = number["I"] % 12 + 12 * late
    minute, second = number.get("M", zeros), number.get("S", zeros)
    is_date &= (month >= 1) & (month <= 12) & (day >= 1) & (hour <= 23) & (minute <= 59) & (second <= 60)
    days, fits = _days(year, np.clip(month, 1, 12), day)
    seconds = days * 86_400.0 + hour * 3600.0 + minute * 60.0 + second
    if "f" in found:
        seconds += _fractions(found["f"])
    if "z" in found:
        seconds -= _zones(found["z"])
    return np.where(is_date & fits, seconds, np.nan)


def _fits(words: pa.Array, date_format: str) -> bool:
    return not np.isnan(seconds_of(words, date_format)).any()


def _pattern(date_format: str) -> str:
    """Return the regular expression of a format; a directive may stand once."""
    if date_format == ISO:
        date_format = "%Y-%m-%d"
    whole = re.sub(r"%([TRFDeh])", lambda found: _SHORT[found[1]], date_format)
    pieces = re.split(r"(%.?)", whole)
    seen: set[str] = set()
    for k, piece in enumerate(pieces):
        if not piece.startswith("%"):
            pieces[k] = re.escape(piece)
            continue
        name = piece[1:]
        part = name.replace("B", "b").replace("A", "a")
        if name not in _PATTERNS or (name != "%" and part in seen):
            problem = "twice" if part in seen else "which is not known"
            message = f'--date-format must consist of the directives of strptime; got "{shown(date_format)}"'
            hint = f'It has "{shown(piece)}" {problem}. Known: ' + " ".join(
                f"%{key}" for key in _PATTERNS if key != "%"
            )
            raise UsageError("SC207", message, hint=hint)
        seen.add(part)
        pieces[k] = _PATTERNS[name]
    if not seen & {"Y", "y"}:
        message = f'--date-format must have a year, %Y or %y; got "{shown(date_format)}"'
        raise UsageError("SC207", message)
    time = "" if seen & {"H", "I", "M", "S", "p"} else _TIME
    return "^" + "".join(pieces) + time + "$"


def _numbers(texts: pa.Array) -> npt.NDArray[np.int64]:
    filled = pc.if_else(pc.equal(pc.fill_null(texts, ""), ""), "0", texts)
    return np.array(filled.cast(pa.int64()).to_numpy(), dtype=np.int64)


def _months(texts: pa.Array) -> npt.NDArray[np.int64]:
    """Return 1-12 for English names, 0 for anything else."""
    place = pc.index_in(pc.utf8_lower(pc.fill_null(texts, "")), pa.array(_MONTHS))
    return np.array(pc.fill_null(place, -1).to_numpy(), dtype=np.int64) + 1


def _days(
    year: npt.NDArray[np.int64], month: npt.NDArray[np.int64], day: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return days since 1970 and whether the month has such a day."""
    months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + (day - 1)
    return days.astype(np.int64), days.astype("datetime64[M]") == months


def _fractions(texts: pa.Array) -> FloatArray:
    filled = pc.binary_join_element_wise("0.", pc.fill_null(texts, "0"), "")
    filled = pc.if_else(pc.equal(filled, "0."), "0.0", filled)
    return np.array(filled.cast(pa.float64()).to_numpy(), dtype=np.float64)


def _zones(texts: pa.Array) -> FloatArray:
    """Return seconds east of Greenwich."""
    counted = pc.value_counts(pc.fill_null(texts, ""))
    offsets = {text: _zone(text) for text in counted.field(0).to_pylist()}
    place = pc.index_in(pc.fill_null(texts, ""), pa.array(list(offsets), pa.string()))
    return np.array(list(offsets.values()), dtype=np.float64)[np.array(place.to_numpy(), dtype=np.int64)]


def _zone(text: str) -> float:
    digits = text[1:].replace(":", "")
    if len(digits) < 2:
        return 0.0
    sign = -1.0 if text[0] == "-" else 1.0
    return sign * (int(digits[:2]) * 3600.0 + int(digits[2:] or 0) * 60.0)
