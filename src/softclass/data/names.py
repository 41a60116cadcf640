"""The names of columns: trimmed, made, and never twice."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from softclass.errors import Notes, TableError, shown

# Cc, Zl and Zp break lines or terminals, Cs (half a surrogate pair) has no UTF-8; str.isprintable would also refuse
# blanks like NBSP.
_REFUSED = ("Cc", "Cs", "Zl", "Zp")


def clean_names(names: Sequence[str], notes: Notes, where: str) -> list[str]:
    """
    Return column names without blanks round them; empty ones become ``column_<n>``.

    Parameters
    ----------
    names : sequence of str
        As they stand in the header.
    notes : Notes
        SC818, once for trimmed and once for made names.
    where : str
        What messages call the table.

    Returns
    -------
    list of str
        All different.

    Raises
    ------
    TableError
        SC303: two columns of one name, or a control character in a name.

    Examples
    --------
    >>> clean_names([" a ", ""], Notes(), "a.csv")
    ['a', 'column_2']
    """
    trimmed = [name.strip() for name in names]
    n_trimmed = sum(name != before and name != "" for name, before in zip(trimmed, names, strict=True))
    if n_trimmed:
        notes.add("SC818", "column names freed of the blanks round them", count=n_trimmed)
    n_empty = trimmed.count("")
    if n_empty:
        notes.add("SC818", "columns without a name, now called column_<n> after their position", count=n_empty)
    cleaned = [name or f"column_{position}" for position, name in enumerate(trimmed, start=1)]
    _refuse_control(cleaned, where)
    _refuse_twice(cleaned, where)
    return cleaned


def _refuse_control(names: list[str], where: str) -> None:
    for position, name in enumerate(names, start=1):
        if any(unicodedata.category(character) in _REFUSED for character in name if not character.isalnum()):
            message = f'a column name must not hold a control character; column {position} is "{shown(name)}"'
            raise TableError("SC303", message, where=where, hint="Is a quote missing in the header?")


def _refuse_twice(names: list[str], where: str) -> None:
    first: dict[str, int] = {}
    for position, name in enumerate(names, start=1):
        if name in first:
            message = f'column names must differ; "{shown(name)}" is column {first[name]} and column {position}'
            raise TableError("SC303", message, where=where, hint="Rename one of them")
        first[name] = position
