"""How a table is written as text: what was found, and what the user asked for."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Dialect:
    """How the cells of a text table are written.

    Attributes
    ----------
    delimiter : str
        The character between two cells.
    decimal : str
        The mark before the fraction of a number.
    thousands : str or None
        The mark between groups of three digits, if there is one.
    encoding : str
        The name of the encoding, as Python knows it.
    header : bool
        Whether the first record holds the names of the columns.

    Examples
    --------
    >>> Dialect(delimiter=";", decimal=",").to_dict()["decimal"]
    ','
    """

    delimiter: str = ","
    decimal: str = "."
    thousands: str | None = None
    encoding: str = "utf-8"
    header: bool = True

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a JSON object."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Dialect:
        """Return the dialect that `to_dict` wrote."""
        return cls(**{field.name: values[field.name] for field in fields(cls)})


@dataclass(frozen=True)
class ReadOptions:
    """What the user said about the table; None means that it is found out.

    Attributes
    ----------
    delimiter, decimal, thousands, encoding : str or None
        As in `Dialect`.
    header : bool
        Whether the first record holds the names of the columns.
    input_format : {"csv", "arrow", "parquet"} or None
        The format of files; None looks at their content.
    bad_rows : {"fail", "skip"}
        What happens to rows with too many or too few cells.
    na_values : tuple of str
        Further words for a missing cell: ``"TOKEN"`` or ``"COLUMN=TOKEN"``.
    date_format : str or None
        How dates are written, in the directives of ``strptime``.
    tie_break : Dialect or None
        The dialect of the model, used where the text leaves the choice open.

    Examples
    --------
    >>> ReadOptions(delimiter=";").bad_rows
    'fail'
    """

    delimiter: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    encoding: str | None = None
    header: bool = True
    input_format: str | None = None
    bad_rows: str = "fail"
    na_values: tuple[str, ...] = ()
    date_format: str | None = None
    tie_break: Dialect | None = None
