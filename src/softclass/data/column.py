"""What the columns of a table are: the facts that training stores and prediction obeys."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from softclass.data import facts
from softclass.data.dialect import Dialect
from softclass.errors import ModelFileError, shown

KINDS = ("number", "boolean", "datetime", "category")
_OUTPUTS = frozenset({"logits", "probabilities", "label"})
_KEYS: dict[str, dict[str, facts.Check]] = {
    "number": {
        "integer": facts.is_flag,
        "minimum": facts.or_none(facts.is_number),
        "maximum": facts.or_none(facts.is_number),
    },
    "boolean": {"true": facts.is_text, "false": facts.is_text},
    "datetime": {
        "date_format": facts.is_text,
        "minimum": facts.or_none(facts.is_number),
        "maximum": facts.or_none(facts.is_number),
    },
    "category": {"integer": facts.is_flag},
}


@dataclass(frozen=True)
class Column:
    """A column that the model uses.

    Attributes
    ----------
    name : str
        As in the file.
    input : str
        Its name in the graph.
    kind : {"number", "boolean", "datetime", "category"}
        What its cells are.
    missing : int
        Missing cells in the table that was read.
    integer : bool
        Of a number: all are whole. Of a category: it was made from numbers, which are written in digits.
    minimum, maximum : float or None
        Of a number, or of a datetime in seconds.
    true, false : str or None
        Cells of a boolean column, casefolded.
    date_format : str or None
        "iso", or the directives of ``strptime``.
    na_values : tuple of str
        Further texts that mean missing in this column.
    """

    name: str
    input: str
    kind: str
    missing: int
    integer: bool = False
    minimum: float | None = None
    maximum: float | None = None
    true: str | None = None
    false: str | None = None
    date_format: str | None = None
    na_values: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the facts that a column of this kind has."""
        common = {"name": self.name, "input": self.input, "kind": self.kind, "missing": self.missing}
        own = {key: getattr(self, key) for key in _KEYS[self.kind]}
        return {**common, "na_values": list(self.na_values), **own}

    @classmethod
    def from_dict(cls, stored: Any, where: str = "column") -> Column:
        """Return the column that `to_dict` wrote; anything else is a ModelFileError (SC405)."""
        kind = stored.get("kind") if isinstance(stored, dict) else None
        checks: dict[str, facts.Check] = {
            "name": facts.is_text,
            "input": facts.is_text,
            "kind": facts.one_of(*KINDS),
            "missing": facts.is_count,
            "na_values": facts.is_texts,
            **_KEYS.get(str(kind), {}),
        }
        found = facts.checked(stored, checks, where)
        return cls(**{**found, "na_values": tuple(found["na_values"])})


@dataclass(frozen=True)
class Label:
    """A class.

    Attributes
    ----------
    name : str
        Its label as text.
    type : {"string", "integer", "boolean"}
        The type of the labels in training.

    Examples
    --------
    >>> Label("3", "integer").value
    3
    """

    name: str
    type: str = "string"

    @property
    def value(self) -> str | int | bool:
        """The label in the type that it had in training."""
        if self.type == "integer":
            return int(self.name)
        return self.name == "true" if self.type == "boolean" else self.name

    def to_dict(self) -> dict[str, str]:
        """Return name and type."""
        return {"name": self.name, "type": self.type}

    @classmethod
    def from_dict(cls, stored: Any, where: str = "class") -> Label:
        """Return the class that `to_dict` wrote; anything else is a ModelFileError (SC405)."""
        types = {"name": facts.is_text, "type": facts.one_of("string", "integer", "boolean")}
        label = cls(**facts.checked(stored, types, where))
        if label.type == "boolean" and label.name not in ("true", "false"):
            raise ModelFileError("SC405", '"name" of a boolean class is true or false', where=where)
        if label.type == "integer" and not _is_integer(label.name):
            raise ModelFileError("SC405", '"name" of an integer class is a whole number in digits', where=where)
        return label


@dataclass(frozen=True)
class Dropped:
    """A column that is left out.

    Attributes
    ----------
    name : str
        As in the file.
    reason : str
        Why, for people.
    code : str
        Code of the note, "" if the user asked for it.
    """

    name: str
    reason: str
    code: str

    def to_dict(self) -> dict[str, str]:
        """Return name, reason and code."""
        return {"name": self.name, "reason": self.reason, "code": self.code}

    @classmethod
    def from_dict(cls, stored: Any, where: str = "dropped") -> Dropped:
        """Return the fact that `to_dict` wrote; anything else is a ModelFileError (SC405)."""
        texts = dict.fromkeys(("name", "reason", "code"), facts.is_text)
        return cls(**facts.checked(stored, texts, where))


@dataclass(frozen=True)
class Schema:
    """What a table must look like.

    Attributes
    ----------
    target : str or None
        The column that holds the labels.
    classes : tuple of Label
        In the order of the probabilities.
    columns : tuple of Column
        What the model uses.
    ids : tuple of str
        Columns that are copied to the predictions and not used.
    dropped : tuple of Dropped
        Columns that are not used at all.
    dialect : Dialect or None
        How the text of the training file was written.

    Examples
    --------
    >>> schema = Schema("kind", (Label("A"), Label("B")), (Column("width", "width", "number", 0),))
    >>> Schema.from_dict(schema.to_dict()) == schema
    True
    """

    target: str | None
    classes: tuple[Label, ...]
    columns: tuple[Column, ...]
    ids: tuple[str, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    dialect: Dialect | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain facts: text, finite numbers, lists."""
        return {
            "target": self.target,
            "classes": [label.to_dict() for label in self.classes],
            "columns": [column.to_dict() for column in self.columns],
            "ids": list(self.ids),
            "dropped": [dropped.to_dict() for dropped in self.dropped],
            "dialect": None if self.dialect is None else self.dialect.to_dict(),
        }

    @classmethod
    def from_dict(cls, stored: Any) -> Schema:
        """Return the schema that `to_dict` wrote; anything else is a ModelFileError (SC405)."""
        checks = {
            "target": facts.or_none(facts.is_text),
            "classes": facts.is_list,
            "columns": facts.is_list,
            "ids": facts.is_texts,
            "dropped": facts.is_list,
            "dialect": facts.or_none(lambda value: isinstance(value, dict)),
        }
        found = facts.checked(stored, checks, "schema")
        columns = tuple(Column.from_dict(fact, f"columns[{i}]") for i, fact in enumerate(found["columns"]))
        classes = tuple(Label.from_dict(fact, f"classes[{i}]") for i, fact in enumerate(found["classes"]))
        _check_unique("columns", "name", [column.name for column in columns])
        _check_unique("columns", "input", [column.input for column in columns])
        _check_unique("classes", "name", [label.name for label in classes])
        return cls(
            target=found["target"],
            classes=classes,
            columns=columns,
            ids=tuple(found["ids"]),
            dropped=tuple(Dropped.from_dict(fact, f"dropped[{i}]") for i, fact in enumerate(found["dropped"])),
            dialect=None if found["dialect"] is None else _dialect_of(found["dialect"]),
        )


@dataclass(frozen=True)
class SchemaOptions:
    """What the user says about the columns.

    Attributes
    ----------
    number, category, boolean, datetime : tuple of str
        Columns that are of this kind, whatever their cells look like.
    drop, id : tuple of str
        Columns to leave out; columns to leave out but to copy to the predictions.
    reserved : tuple of str
        Columns that serve as group, part or weight, and are no features.
    drop_missing_target : bool
        Leave rows without a label out.
    force_classes : bool
        Take the labels for classes even if they look like measurements.
    needs_target : bool
        Refuse a table in which no target is found; otherwise it has none.
    """

    number: tuple[str, ...] = ()
    category: tuple[str, ...] = ()
    boolean: tuple[str, ...] = ()
    datetime: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    id: tuple[str, ...] = ()
    reserved: tuple[str, ...] = ()
    drop_missing_target: bool = False
    force_classes: bool = False
    needs_target: bool = True

    def forced_kind(self, name: str) -> str | None:
        """Return the kind that the user gives to a column."""
        return next((kind for kind in KINDS if name in getattr(self, kind)), None)


def graph_input(name: str, taken: Collection[str]) -> str:
    """
    Return the name of a column in the graph.

    Parameters
    ----------
    name : str
        Name in the file.
    taken : collection of str
        Names given so far.

    Returns
    -------
    str
        The name itself, or ``column/<name>`` where it would clash with an output or with the graph's inner names.

    Examples
    --------
    >>> graph_input("bill length (mm)", ()), graph_input("label", ())
    ('bill length (mm)', 'column/label')
    """
    found = name
    while found in _OUTPUTS or found in taken or found.startswith("softclass/"):
        found = f"column/{found}"
    return found


def shell_word(name: str) -> str:
    """
    Return the name of a column as one types it after an option.

    Parameters
    ----------
    name : str
        Name of a column.

    Returns
    -------
    str
        Escaped for the screen; in quotation marks if a shell would split it.

    Examples
    --------
    >>> shell_word("island"), shell_word("Bean ID")
    ('island', "'Bean ID'")
    """
    text = shown(name)
    plain = text and all(character.isalnum() or character in "_-.,:/+@%=" for character in text)
    return text if plain else "'" + text.replace("'", "'\\''") + "'"


def _is_integer(text: str) -> bool:
    """Return whether a text is a whole number as Python writes it."""
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit() and (digits == "0" or digits[0] != "0") and text != "-0"


def _check_unique(where: str, key: str, names: list[str]) -> None:
    """Refuse names that occur twice."""
    if len(set(names)) < len(names):
        raise ModelFileError("SC405", f'"{key}" must be unique; one occurs twice', where=where)


def _dialect_of(stored: dict[str, Any]) -> Dialect:
    """Read a stored dialect."""
    checks = {
        "delimiter": facts.is_text,
        "decimal": facts.is_text,
        "thousands": facts.or_none(facts.is_text),
        "encoding": facts.is_text,
        "header": facts.is_flag,
    }
    return Dialect.from_dict(facts.checked(stored, checks, "dialect"))
