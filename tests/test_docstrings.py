"""Every public name and method has all sections of a numpydoc docstring that apply to it."""

from __future__ import annotations

import pytest
from numpydoc.validate import validate

import softclass

# Checks of numpydoc that do not apply here.
IGNORED = {
    "GL01",  # the summary may stand beside the opening quotes
    "ES01",  # one sentence is often enough
    "SA01",  # See Also is for those who would look in the wrong place
}
# What one name may lack, and why.
EXCUSED = {
    "softclass.Evaluation": {"PR01"},  # nobody makes one by hand; its fields are its attributes
    "softclass.Model": {"PR01"},  # made by train and load only
    "softclass.Path": {"PR01"},  # made by regularization_path
}
METHOD = {"EX01"}  # the example of a class shows its methods


def _public_names() -> dict[str, bool]:
    """Return dotted names, and whether each is a member of a class."""
    names: dict[str, bool] = {}
    for name in (*softclass.__all__, *softclass._EXTRA_ROOM_OF):
        found = getattr(softclass, name)
        if name != "errors":
            names[f"softclass.{name}"] = False
        if isinstance(found, type):
            # What scikit-learn adds to every estimator is its own.
            members = [member for member in vars(found) if not member.startswith(("_", "set_"))]
            names |= {f"softclass.{name}.{member}": True for member in members if member not in _fields(found)}
    return names


def _fields(kind: type) -> set[str]:
    return set(getattr(kind, "__dataclass_fields__", ())) | set(getattr(kind, "__annotations__", ()))


NAMES = _public_names()


@pytest.mark.parametrize("name", NAMES)
def test_the_docstring_is_complete(name: str) -> None:
    ignored = IGNORED | EXCUSED.get(name, set()) | (METHOD if NAMES[name] else set())

    assert [message for code, message in validate(name)["errors"] if code not in ignored] == []
