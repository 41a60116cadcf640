"""Every script of examples/ runs and learns what it should."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES, PAGE = ROOT / "examples", ROOT / "docs" / "how-to" / "own-training-loop.md"
CASES = [
    ("last_layer", "torch", {}),
    pytest.param("keras_loss", "torch", {"KERAS_BACKEND": "torch"}, marks=pytest.mark.slow),
    pytest.param("keras_loss", "jax", {"KERAS_BACKEND": "jax"}, marks=pytest.mark.slow),
]
LIBRARIES = {"last_layer": ("torch",), "keras_loss": ("keras",), "slow_learning": ()}


def test_every_example_is_run_here() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(LIBRARIES)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_is_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 40


@pytest.mark.parametrize(("name", "backend", "environment"), CASES)
def test_an_example_classifies_digits(name: str, backend: str, environment: dict[str, str]) -> None:
    for library in {*LIBRARIES[name], backend}:
        if importlib.util.find_spec(library) is None:
            pytest.skip(f"examples/{name}.py needs {library}, which is not installed")
    told = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), **environment}

    done = subprocess.run([sys.executable, EXAMPLES / f"{name}.py"], env=told, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    [log_loss] = re.findall(r"^log loss (\S+)$", done.stdout, re.MULTILINE)
    [accuracy] = re.findall(r"^accuracy (\S+)$", done.stdout, re.MULTILINE)
    assert float(log_loss) < 0.25
    assert float(accuracy) > 0.95
    assert f"backend {backend}\n" in done.stdout or not environment


def test_the_example_of_slow_learning_shows_it() -> None:
    told = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}

    done = subprocess.run([sys.executable, EXAMPLES / "slow_learning.py"], env=told, capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")
    assert re.findall(r"cross_entropy +([\d,]+)", done.stdout) == ["17", "13"]
    assert re.findall(r"squared_error +([\d,]+)", done.stdout) == ["232", "28,991"]
    assert re.findall(r"(eps|clip|logsumexp) .*push +([\d.]+)", done.stdout) == [
        ("eps", "0.0137"),
        ("clip", "0.0000"),
        ("logsumexp", "1.0000"),
    ]
    assert re.findall(r"softmax_(ce|se) +(\w+)", done.stdout) == [("ce", "1"), ("se", "never")]


def test_the_page_shows_parts_of_the_examples() -> None:
    scripts = "\n".join(path.read_text(encoding="utf-8") for path in sorted(EXAMPLES.glob("*.py")))
    shown = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)

    assert len(shown) == 5
    assert [part for part in shown if part not in scripts] == []
