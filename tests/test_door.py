"""The public door: what it promises, and that it costs nothing to open."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import softclass

HEAVY = ("numpy", "pyarrow", "sklearn", "scipy", "torch", "onnx", "onnxruntime", "PIL", "jinja2", "rich")


def test_the_lists_of_the_door_agree() -> None:
    tree = ast.parse(Path(softclass.__file__).read_text())
    typed = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level == 1
        for alias in node.names
    }

    assert typed == {*softclass._ROOM_OF, "errors"} == set(softclass.__all__)


def test_a_star_brings_the_public_names_and_no_others() -> None:
    names: dict[str, object] = {}
    exec("from softclass import *", names)

    assert sorted(set(names) - {"__builtins__"}) == sorted(softclass.__all__)
    assert dir(softclass) == sorted([*softclass.__all__, "__version__"])


@pytest.mark.parametrize("name", sorted(softclass.__all__))
def test_every_public_name_opens(name: str) -> None:
    script = f"import softclass; print(bool(softclass.{name}.__doc__))"

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "True"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'softclass' has no attribute 'sotfmax'"):
        _ = softclass.sotfmax


def test_import_loads_nothing_heavy() -> None:
    script = f"import softclass, sys; print([name for name in {HEAVY!r} if name in sys.modules])"

    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout

    assert loaded.strip() == "[]"
