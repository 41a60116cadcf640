"""Every benchmark runs, and the table of the READMEs is made of their results."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
NUMERICAL = ("softmax", "cross_entropy", "linear_cross_entropy", "small_calls", "accuracy")
OTHERS = ("cold_start", "elastic_net", "softmax_cnn", "softmax_mlp", "softmax_regression", "sparse_text", "streaming")


def run(name: str, *options: str) -> str:
    # The source tree first: what is measured is what is tested.
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "JAX_PLATFORMS": "cpu",
    }
    command = [sys.executable, "-W", "error::DeprecationWarning", str(ROOT / "benchmarks" / f"{name}.py"), *options]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


def test_every_benchmark_that_smokes_is_run_here() -> None:
    found = {
        path.stem for path in (ROOT / "benchmarks").glob("*.py") if re.search("--smoke|rounds.run", path.read_text())
    }

    assert found - {"rounds"} == {*NUMERICAL, *OTHERS}


@pytest.mark.parametrize("name", NUMERICAL)
def test_a_benchmark_smokes(name: str) -> None:
    printed = run(name, "--smoke", "--against", "numpy", "scipy", "torch")

    assert "softclass" in printed
    assert "torch" in printed


def test_the_limits_are_those_of_the_results() -> None:
    shares = [int(share) for share in re.findall(r"(\d+)% of the limit", run("limits"))]

    assert len(shares) >= 12
    assert all(0 < share <= 110 for share in shares)  # the limit is a copy that was measured, not a law


@pytest.mark.slow
@pytest.mark.parametrize("name", NUMERICAL)
def test_a_benchmark_smokes_with_every_peer(name: str) -> None:
    assert "softclass" in run(name, "--smoke")


def test_softmax_regression_smokes() -> None:
    printed = run("softmax_regression", "--smoke")

    assert re.search(r"newton-cholesky +[\d.]+ CPU s", printed)
    assert "% of the limit" in printed


def test_streaming_smokes() -> None:
    printed = run("streaming", "--smoke")

    assert "objectives differ by" in printed
    assert re.search(r"pass_cpu +[\d.]+%", printed)


@pytest.mark.slow
def test_softmax_mlp_smokes() -> None:
    printed = run("softmax_mlp", "--smoke")

    assert re.search(r"torch in memory +[\d.]+ +[\d.]+", printed)
    assert re.search(r"1 torch, same job +[\d.]+ CPU us, +[\d.]+ wall us a row +[\d.]+ x softclass", printed)


def test_softmax_cnn_smokes() -> None:
    printed = run("softmax_cnn", "--smoke")

    assert re.search(r"torch DataLoader, batch 128 +[\d.]+ CPU s +[\d.]+ x softclass", printed)
    assert re.search(r"2 torch, features ready +[\d.]+ CPU us, +[\d.]+ wall us a row +[\d.]+ x softclass", printed)


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The module that puts results together, with a folder of its own."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import harness
    import parts as module

    monkeypatch.setattr(harness, "RESULTS", tmp_path)
    return module


def test_parts_of_one_engine_are_put_together_and_those_of_another_begin_anew(
    parts: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rows(*seconds: float) -> list[dict[str, Any]]:
        return [{"name": name, "round": 0, "s": s} for name, s in zip(("ours", "theirs"), seconds, strict=True)]

    def table(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return list(parts.medians(lines, "name", lambda line: "ours", "s"))

    def added(engine: str, load: float, lines: list[dict[str, Any]]) -> dict[str, Any]:
        monkeypatch.setattr(parts, "engine_digest", lambda: engine)
        monkeypatch.setattr(parts.os, "getloadavg", lambda: (load, 0.0, 0.0))
        part = parts.Part()
        return dict(json.loads(parts.add("made", "section", part, lines, table).read_text()))

    added("a", 0.5, rows(1.0, 2.0))
    both = added("a", 5.0, rows(3.0, 12.0))

    assert [(row["name"], row["s"], row["over_ours"], row["rounds"]) for row in both["section"]] == [
        ("ours", 2.0, 1.0, 2), ("theirs", 7.0, 3.0, 2)
    ]  # fmt: skip
    assert [head["busy"] for head in both["section_parts"]] == [False, True]
    assert [line["part"] for line in both["section_lines"]] == [0, 0, 1, 1]
    assert both["note"].startswith("The machine was busy in 1 of 2 parts, with a load of up to 5.0: ")

    anew = added("b", 0.5, rows(1.0, 5.0))

    assert [row["over_ours"] for row in anew["section"]] == [1.0, 5.0]
    assert len(anew["section_parts"]) == 1
    assert anew["note"] == "Measured in 1 part; the load of the machine was never above 2."


@pytest.mark.slow
def test_elastic_net_smokes() -> None:
    assert "saga 2 epochs" in run("elastic_net", "--smoke")


def test_sparse_text_smokes() -> None:
    printed = run("sparse_text", "--smoke")

    assert re.search(r"in turn: [\d.]+ CPU s, 1.00 x softclass", printed)
    assert "lbfgs" in printed


@pytest.mark.slow
def test_cold_start_smokes() -> None:
    assert "predict" in run("cold_start", "--smoke")


def test_the_table_of_the_readmes_is_made_of_the_results() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "make_tables.py"), "--check"]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.stdout.splitlines() == ["README.md: as made", "README.zh-CN.md: as made"]
