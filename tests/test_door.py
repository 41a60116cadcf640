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

    assert typed - set(softclass._EXTRA_ROOM_OF) == {*softclass._ROOM_OF, "errors"} == set(softclass.__all__)
    assert set(softclass._EXTRA_ROOM_OF) < typed


def test_a_star_brings_the_public_names_and_no_others() -> None:
    names: dict[str, object] = {}
    exec("from softclass import *", names)

    assert sorted(set(names) - {"__builtins__"}) == sorted(softclass.__all__)
    assert dir(softclass) == sorted([*softclass.__all__, "__version__"])


def test_every_public_name_opens_first() -> None:
    """Each in a process that has loaded nothing of softclass, but libraries that take half a second to load."""
    names = sorted([*softclass.__all__, *softclass._EXTRA_ROOM_OF])
    script = """
import os, sys
import numpy, onnx, onnxruntime, pyarrow.csv, scipy.optimize, sklearn.base
for name in sys.argv[1:]:
    child = os.fork()
    if child == 0:
        import softclass
        os._exit(0 if getattr(softclass, name).__doc__ else 1)
    print(name, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""

    done = subprocess.run([sys.executable, "-u", "-c", script, *names], capture_output=True, text=True, check=True)

    assert (done.stdout.splitlines(), done.stderr) == ([f"{name} 0" for name in names], "")


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'softclass' has no attribute 'sotfmax'"):
        _ = softclass.sotfmax


def test_without_its_library_an_extra_says_how_to_install_it() -> None:
    script = """
import sys
class Absent:
    def find_spec(self, name, *_):
        if name == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name=name)
sys.meta_path.insert(0, Absent())
from softclass import *
import softclass
try:
    softclass.LastLayer
except ImportError as error:
    print(type(error).__name__, error)
"""

    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout

    assert said.startswith("MissingExtraError [SC601] LastLayer: ")
    assert said.endswith("pip install 'softclass[torch]'\n")


def test_import_loads_nothing_heavy() -> None:
    script = f"import softclass, sys; print([name for name in {HEAVY!r} if name in sys.modules])"

    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout

    assert loaded.strip() == "[]"
