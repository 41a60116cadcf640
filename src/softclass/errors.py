"""Every error and warning of softclass, with its stable code.

A message always reads ``[code] where: rule; what came. What to do.`` The first digit of a code is the exit status of
the command line. No code is ever used for two things.

::

    SoftclassError
    ├── InternalError (RuntimeError)          SC100
    ├── InputError (ValueError)               arguments of Python calls
    │   ├── ShapeError                        SC101-103
    │   ├── DTypeError (TypeError)            SC111-113
    │   ├── TargetError                       SC121-122
    │   ├── NotFiniteError                    SC131
    │   ├── OptionError                       SC141-142
    │   └── ParameterError (TypeError)        SC143
    ├── UsageError (ValueError)               SC2xx   options, configuration
    ├── DataError (ValueError)                SC371-373
    │   ├── TableError                        SC301-333
    │   └── ImageError                        SC341-362
    ├── ModelFileError (ValueError)           SC4xx
    ├── CheckFailedError                      SC5xx
    └── MachineError (RuntimeError)           SC6xx
        ├── MissingExtraError (ImportError)   SC601
        ├── DeviceError                       SC602
        ├── PathError (OSError)               SC603-605
        └── TooLargeError (MemoryError)       SC606
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

SHOWN_CHARACTERS = 80


class SoftclassError(Exception):
    """Root of every error that softclass raises on purpose.

    Parameters
    ----------
    code : str
        Stable code such as ``"SC321"``.
    message : str
        The rule that was broken and what came instead, without a final full stop.
    where : str
        File, line and column, or function, in which it happened.
    hint : str
        What to do about it.
    """

    def __init__(self, code: str, message: str, *, where: str = "", hint: str = "") -> None:
        # Both positional arguments go to the base class, so that the error survives pickling.
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.where = where
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.code, self.message, self.where, self.hint)

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        cure = f". {self.hint}" if self.hint else ""
        return f"[{self.code}] {place}{self.message}{cure}"

    @property
    def exit_status(self) -> int:
        """Exit status of the command line: the first digit of the code."""
        return int(self.code[2])

    def to_dict(self) -> dict[str, str]:
        """Return the error as the JSON object of the command line."""
        return {"code": self.code, "message": self.message, "where": self.where, "hint": self.hint}


def _rebuild(kind: type[SoftclassError], code: str, message: str, where: str, hint: str) -> SoftclassError:
    return kind(code, message, where=where, hint=hint)


class InternalError(SoftclassError, RuntimeError):
    """A bug in softclass."""


class InputError(SoftclassError, ValueError):
    """An argument of a Python call breaks a rule."""


class ShapeError(InputError):
    """The axes of the arguments do not agree."""


class DTypeError(InputError, TypeError):
    """An array has a data type that the function does not take."""


class TargetError(InputError):
    """A target is not a class index or not a distribution over the classes."""


class NotFiniteError(InputError):
    """NaN or infinity where only finite numbers make sense."""


class OptionError(InputError):
    """An option lies outside its range."""


class ParameterError(InputError, TypeError):
    """An estimator was given a parameter that it does not have."""


class UsageError(SoftclassError, ValueError):
    """A command or a call was asked for something that makes no sense."""


class DataError(SoftclassError, ValueError):
    """The data do not fit."""


class TableError(DataError):
    """A table cannot be read or used."""


class ImageError(DataError):
    """An image, or a set of images, cannot be read or used."""


class ModelFileError(SoftclassError, ValueError):
    """A model file is refused."""


class CheckFailedError(SoftclassError):
    """A check that was asked for failed."""


class MachineError(SoftclassError, RuntimeError):
    """The machine cannot do what was asked."""


class MissingExtraError(MachineError, ImportError):
    """A library that an extra of softclass brings is not installed."""


class DeviceError(MachineError):
    """A device that was asked for is not there."""


class PathError(MachineError, OSError):
    """A path cannot be read or written."""

    def __init__(self, code: str, message: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(code, message, where=where, hint=hint)
        # OSError with two arguments reads the first as errno: give it back to the cause.
        self.errno = None

    def __str__(self) -> str:
        return SoftclassError.__str__(self)


class TooLargeError(MachineError, MemoryError):
    """The work needs more memory than there is."""


class SoftclassWarning(UserWarning):
    """Root of every warning that softclass gives."""


class DataWarning(SoftclassWarning):
    """Something in the data was counted, filled, merged or left out."""


class SeparationWarning(SoftclassWarning):
    """Classes can be told apart perfectly, so that without a penalty no finite weights are best."""


class RankWarning(SoftclassWarning):
    """Columns are linearly dependent, so that without a penalty many weights are equally good."""


class CalibrationWarning(SoftclassWarning):
    """A statement about probabilities is weaker than usual."""


# The noun that a count stands before.
_SEVERAL = re.compile(r"\A(column )?(row|cell|column|number|image|name|group|line)s\b")


@dataclass(frozen=True)
class Note:
    """A counted remark about something that was filled, merged, dropped or guessed.

    Attributes
    ----------
    code : str
        Stable code, ``"SC8xx"``.
    text : str
        What happened; the count stands before it when there is one.
    column : str or None
        The column it is about.
    count : int or None
        How often it happened.
    hint : str
        What to do if it was not wanted.
    """

    code: str
    text: str
    column: str | None = None
    count: int | None = None
    hint: str = ""

    @property
    def message(self) -> str:
        """The whole sentence, with column and count."""
        place = f'column "{shown(self.column)}": ' if self.column is not None else ""
        number = f"{self.count:,} " if self.count is not None else ""
        # A count grows while rows are read, so the words fit it only here.
        text = _SEVERAL.sub(r"\1\2", self.text, count=1) if self.count == 1 else self.text
        return f"{place}{number}{text}"

    def to_dict(self) -> dict[str, str | int | None]:
        """Return the note as it stands in ``metrics.json`` and in the model file."""
        return {"code": self.code, "column": self.column, "count": self.count, "message": self.message}


class Notes:
    """The notes of one piece of work, in order; equal ones add up their counts.

    Examples
    --------
    >>> notes = Notes()
    >>> notes.add("SC802", "cells of categories never seen in training", column="island", count=2)
    >>> notes.add("SC802", "cells of categories never seen in training", column="island", count=3)
    >>> [note.message for note in notes]
    ['column "island": 5 cells of categories never seen in training']
    """

    def __init__(self) -> None:
        self._notes: dict[tuple[str, str | None, str], Note] = {}

    def add(self, code: str, text: str, *, column: str | None = None, count: int | None = None, hint: str = "") -> None:
        """Add a note, or add its count to the equal one that is already there."""
        key = (code, column, text)
        before = self._notes.get(key)
        if before is None:
            self._notes[key] = Note(code, text, column, count, hint)
        elif count is not None:
            self._notes[key] = replace(before, count=(before.count or 0) + count)

    def __iter__(self) -> Iterator[Note]:
        return iter(tuple(self._notes.values()))

    def __len__(self) -> int:
        return len(self._notes)


def shown(text: object, limit: int = SHOWN_CHARACTERS) -> str:
    r"""Return text from a user's file as it may appear on a screen: escaped and cut.

    Control, bidirectional, zero-width and other invisible characters become ``\uXXXX``.

    Examples
    --------
    >>> shown("caf\u00e9 \u202etxt")
    'café \\u202etxt'
    """
    whole = str(text)
    cut = whole if len(whole) <= limit else whole[: limit - 1] + "…"
    if cut.isascii() and cut.isprintable():
        return cut
    return "".join(_escaped(character) for character in cut)


def first_few(texts: Sequence[str], limit: int = 12) -> str:
    """Return texts separated by commas: the first few, and how many more there are.

    Examples
    --------
    >>> first_few(["a", "b", "c", "d"], 2)
    'a, b and 2 more'
    """
    more = f" and {len(texts) - limit:,} more" if len(texts) > limit else ""
    return ", ".join(texts[:limit]) + more


def first_quoted(names: Sequence[str], limit: int = 12) -> str:
    """Return the first few names that came from outside, each in quotation marks, and how many more there are.

    Examples
    --------
    >>> first_quoted(["a", "b\\n", "c"], 2)
    '"a", "b\\\\u000a" and 1 more'
    """
    return first_few([f'"{shown(name)}"' for name in names], limit)


def _escaped(character: str) -> str:
    # C* are control, format (bidi, zero width), surrogate, private and unassigned; Zl and Zp break lines.
    if unicodedata.category(character)[0] != "C" and unicodedata.category(character) not in ("Zl", "Zp"):
        return character
    return f"\\u{ord(character):04x}" if ord(character) <= 0xFFFF else f"\\U{ord(character):08x}"


def nearest(name: str, candidates: Iterable[str], limit: int = 3) -> list[str]:
    """Return the candidates that a person may have meant by `name`, the best first.

    At most two edits, or a third of the length of the name, whichever is more, and fewer than would make any other name
    of it; case does not count, and a name that differs in nothing else is the only one.

    Examples
    --------
    >>> nearest("speceis", ["island", "species", "sex"])
    ['species']
    >>> nearest("Y", ["x", "y", "yy"]), nearest("y", ["a", "b"])
    (['y'], [])
    """
    allowed = max(2, len(name) // 3)
    scored = sorted((_edits(name.casefold(), candidate.casefold()), candidate) for candidate in candidates)
    if scored and scored[0][0] == 0:
        allowed = 0
    close = [other for edits, other in scored if edits <= allowed and edits < max(len(name), len(other), 1)]
    return close[:limit]


def _edits(left: str, right: str) -> int:
    """Optimal string alignment distance: insert, delete, replace, swap neighbours."""
    before_last: list[int] = []
    last = list(range(len(right) + 1))
    for i, a in enumerate(left, start=1):
        row = [i]
        for j, b in enumerate(right, start=1):
            best = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                best = min(best, before_last[j - 2] + 1)
            row.append(best)
        before_last, last = last, row
    return last[-1]
