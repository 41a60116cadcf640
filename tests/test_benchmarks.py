"""Every benchmark runs, and the table of the READMEs is made of their results."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

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
    assert re.search(r"torch in memory +[\d.]+ +[\d.]+", run("softmax_mlp", "--smoke"))


def test_softmax_cnn_smokes() -> None:
    printed = run("softmax_cnn", "--smoke")

    assert re.search(r"torch DataLoader, batch 128 +[\d.]+ CPU s +[\d.]+ x softclass", printed)


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
