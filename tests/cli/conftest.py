"""A command line to call, and stand-ins for what it calls."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from softclass.cli.main import main
from softclass.errors import Note


@dataclass
class Ran:
    """What a command did."""

    status: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def _quiet_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each test begins in an empty folder, without colours or options from outside."""
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "SOFTCLASS_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    # Crash files of the tests stay among the tests.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run a command line in this process."""

    def run(*arguments: str) -> Ran:
        capfd.readouterr()
        status = main(list(arguments))
        sys.stdout.flush()
        captured = capfd.readouterr()
        return Ran(status, captured.out, captured.err)

    return run


class Evaluation:
    """The figures of a model that gets 9 of 10 right."""

    facts: dict[str, Any] = {  # noqa: RUF012 - never changed
        "n": 10,
        "classes": ["a", "b"],
        "accuracy": 0.9,
        "log_loss": 0.25,
        "log_loss_prior": 0.69,
        "brier": 0.1,
        "ece": 0.05,
        "ece_null_95": 0.2,
        "intervals": {"accuracy": [0.7, 1.0], "log_loss": [0.1, 0.4]},
        "per_class": {
            "a": {"n": 6, "precision": 1.0, "recall": 0.833, "f1": 0.9, "log_loss": 0.2},
            "b": {"n": 4, "precision": 0.8, "recall": 1.0, "f1": 0.89, "log_loss": 0.3},
        },
    }

    def to_dict(self) -> dict[str, Any]:
        return dict(self.facts)


@dataclass
class Calls:
    """The calls that the stand-ins received, the last one of each kind."""

    train: dict[str, Any] | None = None
    predict: dict[str, Any] | None = None
    evaluate: dict[str, Any] | None = None
    fails_with: BaseException | None = None


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[Calls]:
    """Stand-ins for training and models, which are slow and have tests of their own."""
    calls = Calls()

    def train(data: Any, target: Any = None, **options: Any) -> Any:
        calls.train = {"data": data, "target": target, **options}
        if calls.fails_with is not None:
            raise calls.fails_with
        _tell(options["progress"], options["output"])
        return SimpleNamespace(evaluation=Evaluation())

    def plan(data: Any, target: Any = None, **options: Any) -> None:
        calls.train = {"called": "plan"}
        _tell(options["progress"], None)

    monkeypatch.setitem(sys.modules, "softclass.model.train", _module(train=train, plan=plan))
    monkeypatch.setitem(
        sys.modules, "softclass.model.model", _module(load=lambda path, threads=None, notes=None: _Model(calls))
    )
    monkeypatch.setitem(sys.modules, "softclass.model.predictions", _module(write_predictions=_write))
    return calls


def _module(**members: Any) -> ModuleType:
    module = ModuleType("stand_in")
    module.__dict__.update(members)
    return module


class _Model:
    def __init__(self, calls: Calls) -> None:
        self.calls = calls

    def predict_batches(self, data: Any, **options: Any) -> Iterator[Any]:
        self.calls.predict = {"data": data, **options}
        if self.calls.fails_with is not None:
            raise self.calls.fails_with
        options["notes"].add("SC802", "cells of categories never seen in training", column="island", count=2)
        yield SimpleNamespace(num_rows=1, text="row,prediction\n1,a\n")
        yield SimpleNamespace(num_rows=1, text="2,b\n")

    def evaluate(self, data: Any, **options: Any) -> Evaluation:
        self.calls.evaluate = {"data": data, **options}
        return Evaluation()


def _write(blocks: Any, file: Any, form: str, **options: Any) -> int:
    return sum(file.write(block.text.encode()) for block in blocks)


def _tell(progress: Callable[[str, dict[str, Any]], None], output: str | None) -> None:
    """The events of a small training, in their order."""
    column = SimpleNamespace(name="length", input="length", kind="number", missing=2, minimum=1.0, maximum=2.5)
    word = SimpleNamespace(name="isl[b]and", input="island", kind="category", missing=0)
    steps = (
        SimpleNamespace(input="length", fill=1.75, flag=True),
        SimpleNamespace(input="island", categories=("Biscoe", "Dream\x1b[31m")),
    )
    progress("phase", {"name": "reading", "done": 0, "total": None})
    progress("data", {"task": "table", "name": "p.csv", "n_rows": 344, "n_columns": 8, "target": "species",
                      "class_counts": {"a": 200, "b": 144}})  # fmt: skip
    progress(
        "columns", {"schema": SimpleNamespace(columns=(column, word)), "preprocessing": SimpleNamespace(steps=steps)}
    )
    progress("note", {"note": Note("SC812", 'cells "NA" kept', column="sex", count=11, hint="--na-values sex=NA")})
    progress("parts", {"sizes": {"fit": 234, "calibration": 41, "test": 69}, "stratified": True, "seed": 0,
                       "own_test": False, "group": None, "time": None})  # fmt: skip
    progress("model", {"kind": "softmax", "n_features": 19, "n_classes": 2, "n_parameters": 40})
    progress("iteration", {"iteration": 1, "loss": 0.5, "gradient_norm": 0.1, "seconds": 0.0, "C": 1.0})
    progress("fit", {"C": 10.0, "tried": 7, "iterations": 21, "converged": True, "gradient_norm": 3e-7, "seconds": 0.03,
                     "objective": 0.0625, "gap": 3.1e-12, "gap_kind": "duality", "passes": 24, "solver": "newton",
                     "separation": "", "streamed": False})  # fmt: skip
    progress("calibration", {"temperature": SimpleNamespace(method="none", reason="no method beat it", candidates={})})
    progress("test", {"evaluation": Evaluation(), "split": "test"})
    if output is not None:
        folder = Path(output)
        folder.mkdir(parents=True)
        (folder / "metrics.json").write_text('{"accuracy": 0.9}', encoding="utf-8")
        progress("wrote", {"path": folder, "files": {"model.onnx": 4123, "report.html": 9}, "seconds": 1.9})
