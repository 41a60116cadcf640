"""Where each sentence goes and how it looks: results to stdout, all else to stderr; plain where nobody is looking."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, BinaryIO, TextIO

from softclass.cli.layout import cells, counted, wrapped
from softclass.errors import Note, SoftclassError

Paint = Callable[[str, str], str]

WIDTH_WITHOUT_TERMINAL = 100
LABEL_WIDTH = 9
NOTES_OF_A_CODE = 5

_STYLES = {"error": "1;31", "note": "33", "label": "1", "name": "36", "faint": "2", "good": "32"}


class Stream:
    """One of the two output streams, and what may be written to it.

    Attributes
    ----------
    is_terminal : bool
        Whether a person reads it as it comes.
    is_capable : bool
        Whether the terminal understands more than plain text.
    coloured : bool
        Whether ANSI colours are wanted.
    width : int
        Columns of the terminal; 100 where there is none.
    """

    def __init__(self, file: TextIO | None, color: str, environment: Mapping[str, str]) -> None:
        self.file = file
        self.is_terminal = file is not None and not file.closed and file.isatty()
        self.is_capable = environment.get("TERM") != "dumb"
        self.coloured = _is_coloured(self.is_terminal, color, environment)
        self.width = _width(file, environment) if self.is_terminal else WIDTH_WITHOUT_TERMINAL

    @property
    def room(self) -> int | None:
        """Where lines must be broken; nowhere if nobody looks, so that every message can be searched for."""
        return self.width if self.is_terminal else None

    def write(self, text: str) -> None:
        """Write text as it is; if its reader has gone, as in `| head -1`, it goes nowhere and the work goes on."""
        if self.file is not None:
            try:
                self.file.write(text)
                # At once, so that `> log 2>&1` keeps results and notes in order.
                self.file.flush()
            except BrokenPipeError:
                discard(self.file.fileno())

    def flush(self) -> None:
        """Hand on what is still held back."""
        if self.file is not None:
            self.file.flush()

    def paint(self, text: str, style: str) -> str:
        """Return the text in the style, or untouched where colours are not wanted."""
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self.coloured and text else text


class Screen:
    """What a command says: results on stdout, notes, progress and errors on stderr.

    Parameters
    ----------
    color : {"auto", "always", "never"}
        Colours; "auto" asks the terminal, ``NO_COLOR`` and ``FORCE_COLOR``.
    as_json : bool
        One JSON document on stdout instead of text.
    quiet : bool
        Nothing on stderr but errors.
    verbose : int
        How much more than usual to say.
    environment : mapping, optional
        The environment variables; those of the process by default.

    Attributes
    ----------
    notes : list of Note
        What was noted so far.
    progress : callable (event, facts)
        Shows how far the work is.
    before_write : callable
        Called before every line, so that a progress bar can step aside.
    """

    def __init__(
        self,
        *,
        color: str = "auto",
        as_json: bool = False,
        quiet: bool = False,
        verbose: int = 0,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.environment = os.environ if environment is None else environment
        self.notes: list[Note] = []
        self.before_write: Callable[[], None] = lambda: None
        self.progress: Callable[[str, Mapping[str, Any]], None] = lambda event, facts: None
        # Set to send notes and errors elsewhere than to stderr as text.
        self.emit: Callable[[str, Mapping[str, Any]], None] | None = None
        self.configure(color=color, as_json=as_json, quiet=quiet, verbose=verbose)

    def configure(self, *, color: str, as_json: bool, quiet: bool, verbose: int) -> None:
        """Follow the options of the command line, once they are known."""
        self.out = Stream(sys.stdout, color, self.environment)
        self.err = Stream(sys.stderr, color, self.environment)
        self.as_json = as_json
        self.quiet = quiet
        self.verbose = verbose

    def result(self, text: str = "") -> None:
        """Write a line of the result, unless the result is a JSON document."""
        if not self.as_json:
            self.before_write()
            self.out.write(f"{text}\n")

    def row(self, label: str, text: str) -> None:
        """Write a line of the result behind its label, as it is."""
        self.result(self.out.paint(label, "label") + " " * max(1, LABEL_WIDTH - cells(label)) + text)

    def rows(self, label: str, lines: Sequence[str]) -> None:
        """Write lines of the result, the first one behind the label."""
        for index, line in enumerate(lines):
            self.row("" if index else label, line)

    def labelled(self, label: str, text: str) -> None:
        """Write a line of the result behind its label; continuation lines are indented."""
        self.rows(label, wrapped(text, self.out.width - LABEL_WIDTH))

    def document(self, document: object) -> None:
        """Write the one JSON document of the command, if JSON was asked for."""
        if self.as_json:
            self.before_write()
            self.out.write(json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n")

    def remark(self, text: str) -> None:
        """Write a line to stderr, unless only errors are wanted."""
        if not self.quiet:
            self.before_write()
            self.err.write(f"{text}\n")

    def note(self, note: Note) -> None:
        """Write a note and remember it."""
        self.notes.append(note)
        if self.emit is not None:
            self.emit("note", note.to_dict())
        elif self.verbose or [other.code for other in self.notes].count(note.code) <= NOTES_OF_A_CODE:
            self.remark(note_text(note, self.err.paint, self.err.room))

    def sum_up_notes(self) -> None:
        """Say how many notes were not shown: a table of many columns has much to note of the same kind."""
        for code, count in Counter(note.code for note in self.notes).items():
            if count > NOTES_OF_A_CODE and not self.verbose and self.emit is None:
                words = counted(count - NOTES_OF_A_CODE, "more note")
                more = Note(code, f"and {words} of this kind; -v shows each of them")
                self.remark(note_text(more, self.err.paint, self.err.room))

    def error(self, error: SoftclassError) -> None:
        """Write an error: to stderr for people, to stdout as the one document if JSON was asked for."""
        self.before_write()
        self.document({"error": error.to_dict(), "exit": error.exit_status})
        if self.emit is not None:
            self.emit("error", error.to_dict())
        else:
            self.err.write(error_text(error, self.err.paint, self.err.room) + "\n")

    def binary(self) -> BinaryIO:
        """Return stdout as bytes, for results that are not text."""
        self.before_write()
        if self.out.file is None:
            return open(os.devnull, "wb")
        self.out.file.flush()
        return self.out.file.buffer


def discard(number: int) -> None:
    """Let what is still to be written to a closed stream go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)


def _plain(text: str, style: str) -> str:
    return text


def error_text(error: SoftclassError, paint: Paint = _plain, width: int | None = None) -> str:
    """Return an error as it stands on the screen; lines are broken only if there is a width.

    Examples
    --------
    >>> from softclass.errors import TableError
    >>> print(error_text(TableError("SC321", 'column "x" is missing', where="new.csv", hint="pass --rename y=x")))
    error[SC321] new.csv: column "x" is missing
      fix:    pass --rename y=x
      more:   softclass explain SC321
    """
    place = f"{error.where}: " if error.where else ""
    lines = _hanging(paint(f"error[{error.code}]", "error"), f"error[{error.code}]", f"{place}{error.message}", width)
    if error.hint:
        lines += _hanging(f"  {paint('fix:', 'label')}   ", "  fix:   ", error.hint, width)
    return "\n".join([*lines, f"  {paint('more:', 'label')}   softclass explain {error.code}"])


def note_text(note: Note, paint: Paint = _plain, width: int | None = None) -> str:
    """Return a note as it stands on the screen; lines are broken only if there is a width.

    Examples
    --------
    >>> print(note_text(Note("SC802", "cells of unseen categories", column="island", count=3)))
    note[SC802] column "island": 3 cells of unseen categories
    """
    lines = _hanging(paint(f"note[{note.code}]", "note"), f"note[{note.code}]", note.message, width)
    if note.hint:
        lines += _hanging(f"  {paint('fix:', 'label')}   ", "  fix:   ", note.hint, width)
    return "\n".join(lines)


def _hanging(head: str, plain_head: str, text: str, width: int | None) -> list[str]:
    """Put text behind its head, and what does not fit below it, indented by ten."""
    indent = 10
    text, *drawing = text.split("\n")  # further lines are a drawing, which wrapping would spoil
    drawn = [" " * indent + line for line in drawing]
    if width is None:
        return [f"{head} {text}", *drawn]
    first, *rest = wrapped(f"{plain_head.replace(' ', chr(0))} {text}", width)
    below = wrapped(" ".join(rest), max(10, width - indent)) if rest else []
    return [head + first[len(plain_head) :], *(" " * indent + line for line in below), *drawn]


def _is_coloured(is_terminal: bool, color: str, environment: Mapping[str, str]) -> bool:
    if color != "auto":
        return color == "always"
    if environment.get("NO_COLOR"):
        return False
    if environment.get("FORCE_COLOR"):
        return True
    return is_terminal and environment.get("TERM") != "dumb"


def _width(file: TextIO | None, environment: Mapping[str, str]) -> int:
    stated = environment.get("COLUMNS", "")
    if stated.isdecimal() and int(stated) > 0:
        return int(stated)
    try:
        return os.get_terminal_size(file.fileno()).columns or 80 if file is not None else 80
    except (OSError, ValueError):
        return 80
