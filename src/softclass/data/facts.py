"""Strict reading of stored facts: closed keys, exact types, finite numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from softclass.errors import ModelFileError, shown

Check: TypeAlias = Callable[[Any], bool]


def is_text(value: Any) -> bool:
    """Return whether the value is text.

    Examples
    --------
    >>> is_text("a"), is_text(1)
    (True, False)
    """
    return isinstance(value, str)


def is_count(value: Any) -> bool:
    """Return whether the value is a whole number that is not negative.

    Examples
    --------
    >>> is_count(3), is_count(-1), is_count(True)
    (True, False, False)
    """
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_flag(value: Any) -> bool:
    """Return whether the value is true or false.

    Examples
    --------
    >>> is_flag(True), is_flag(1)
    (True, False)
    """
    return isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Return whether the value is a finite number.

    Examples
    --------
    >>> is_number(1.5), is_number(float("nan"))
    (True, False)
    """
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_positive(value: Any) -> bool:
    """Return whether the value is a finite number above 0.

    Examples
    --------
    >>> is_positive(1e-310), is_positive(0)
    (True, False)
    """
    return is_number(value) and value > 0


def is_list(value: Any) -> bool:
    """Return whether the value is a list.

    Examples
    --------
    >>> is_list([1]), is_list("ab")
    (True, False)
    """
    return isinstance(value, list)


def is_texts(value: Any) -> bool:
    """Return whether the value is a list of texts, none of them twice.

    Examples
    --------
    >>> is_texts(["a", "b"]), is_texts(["a", "a"])
    (True, False)
    """
    return isinstance(value, list) and all(isinstance(text, str) for text in value) and len(set(value)) == len(value)


def one_of(*values: Any) -> Check:
    """Return the check that a value is one of these.

    Examples
    --------
    >>> one_of("columns", "matrix")("matrix")
    True
    """
    return lambda value: isinstance(value, str) and value in values


def or_none(check: Check) -> Check:
    """Return the check that a value is None or passes.

    Examples
    --------
    >>> or_none(is_text)(None)
    True
    """
    return lambda value: value is None or check(value)


def checked(facts: Any, checks: Mapping[str, Check], where: str) -> dict[str, Any]:
    """
    Return the facts if they have exactly these keys and each value passes its check.

    Parameters
    ----------
    facts : Any
        What stood in the file.
    checks : mapping of str to callable
        Keys, all of them needed, and the rule for each value.
    where : str
        Which facts these are, for the message.

    Returns
    -------
    dict of str to Any
        The facts.

    Raises
    ------
    ModelFileError
        SC405, with the first key that is absent, unknown or wrong.

    Examples
    --------
    >>> checked({"rows": 3}, {"rows": is_count}, "data")
    {'rows': 3}
    """
    if not isinstance(facts, Mapping):
        raise ModelFileError("SC405", f"must be an object; got {type(facts).__name__}", where=where)
    _check_keys([str(key) for key in facts], list(checks), where)
    for key, check in checks.items():
        if not check(facts[key]):
            raise ModelFileError("SC405", f'"{key}" breaks its rule; got {shown(repr(facts[key]))}', where=where)
    return {key: facts[key] for key in checks}


def _check_keys(found: Sequence[str], wanted: Sequence[str], where: str) -> None:
    """Refuse keys that are absent or unknown."""
    absent = [key for key in wanted if key not in found]
    unknown = [key for key in found if key not in wanted]
    if absent or unknown:
        word, key = ("absent", absent[0]) if absent else ("unknown", unknown[0])
        raise ModelFileError("SC405", f'the keys are closed; "{shown(key)}" is {word}', where=where)
