"""Which notes reach Python callers as warnings; the others are in ``Model.notes``."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterable
from types import FrameType

from softclass.errors import CalibrationWarning, DataWarning, Note, Notes

# Notes that change what a number means.
WARNED = frozenset(
    {"SC850", "SC851", "SC802", "SC804", "SC807", "SC808", "SC809", "SC810", "SC811", "SC821", "SC843", "SC847"}
)


def warn_of(notes: Notes) -> None:
    """Give Python callers the notes that change what a number means, at the line of theirs that called us."""
    told = [note for note in notes if note.code in WARNED]
    if not told:
        return
    level = _level_of_caller()
    for note in told:
        kind = CalibrationWarning if note.code == "SC821" else DataWarning
        hint = f". {note.hint}" if note.hint else ""
        warnings.warn(f"[{note.code}] {note.message}{hint}", kind, stacklevel=level)


def _level_of_caller() -> int:
    """Number of frames between `warn_of` and the first line outside softclass, as ``stacklevel`` counts them."""
    frame, level = inspect.currentframe(), 0
    while frame is not None and frame.f_back is not None and _is_ours(frame):
        frame, level = frame.f_back, level + 1
    return level


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] == "softclass"


def tell(found: Iterable[Note], notes: Notes) -> None:
    """Add notes that were found elsewhere."""
    for note in found:
        notes.add(note.code, note.text, column=note.column, count=note.count, hint=note.hint)
