"""One model, one answer: pipe, file, frame and bare onnxruntime, on rows as awkward as rows come."""

from __future__ import annotations

import csv
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import softclass as library
from softclass.data import samples
from softclass.errors import DataWarning

PENGUINS = samples.path("penguins.csv")
COMMAND = (sys.executable, "-m", "softclass")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run of penguins."""
    path = tmp_path_factory.mktemp("agreement") / "run"
    library.train(PENGUINS, "species", C=10.0, output=path, report=False, progress=lambda event, facts: None)
    return path


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    """Real rows with columns in another order, one column more, cells missing and categories never seen."""
    found = list(csv.DictReader(PENGUINS.read_text(encoding="utf-8").splitlines()))
    names = sorted(set(found[0]) - {"species"}, reverse=True)
    odd = [{"remark": f"row {i}", **{name: row[name] for name in names}} for i, row in enumerate(found)]
    for i, row in enumerate(odd):
        if i % 3 == 0:
            row[names[i % len(names)]] = ""
        if i % 7 == 0:
            row["island"] = ("Atlantis", "NA", "岛", '"quoted", and\nbroken')[i % 4]
    return odd


@pytest.fixture(scope="module")
def file(rows, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("rows") / "rows.csv"
    with path.open("w", encoding="utf-8", newline="") as target:
        writer = csv.DictWriter(target, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture(scope="module")
def columns(rows, run) -> dict[str, pa.Array]:
    """The same rows with types: numbers as float64, text as text."""
    kinds = {column.name: column.kind for column in library.load(run).schema.columns}
    found = {}
    for name in rows[0]:
        cells = [row[name] or None for row in rows]
        if kinds.get(name) == "number":
            found[name] = pa.array([None if cell in (None, "NA") else float(cell) for cell in cells], pa.float64())
        else:
            found[name] = pa.array(cells, pa.string())
    return found


def _probabilities(text: str) -> np.ndarray:
    rows = list(csv.DictReader(text.splitlines()))
    names = [name for name in rows[0] if name.startswith("proba_")]
    return np.array([[np.float32(row[name]) for name in names] for row in rows])


@pytest.fixture(scope="module")
def expected(run, file) -> np.ndarray:
    """What a model says to the file, through Python."""
    with pytest.warns(DataWarning, match="never seen in training"):
        return library.load(run).predict_proba(file)


def test_a_pipe_gives_the_bytes_of_the_file(run, file, expected):
    folder = Path(library.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    pipe = f"cat {shlex.quote(str(file))} | {shlex.join(COMMAND)} predict {shlex.quote(str(run))} -"
    piped = subprocess.run(pipe, shell=True, capture_output=True, check=True, env=environment)
    from_file = subprocess.run([*COMMAND, "predict", run, file], capture_output=True, check=True, env=environment)

    assert piped.stdout == from_file.stdout
    assert [line[:12] for line in piped.stderr.decode().splitlines() if line.startswith("note")] == [
        "note[SC801] ",
        "note[SC802] ",
    ]
    np.testing.assert_array_equal(_probabilities(from_file.stdout.decode()), expected)


@pytest.mark.filterwarnings("ignore::softclass.errors.SoftclassWarning")
@pytest.mark.parametrize("library_name", ["pandas", "polars", "pyarrow"])
def test_a_frame_gives_the_numbers_of_the_file(run, columns, expected, library_name):
    table = pa.table(columns)
    frame = table
    if library_name == "pandas":
        pytest.importorskip("pandas")
        frame = table.to_pandas()
    elif library_name == "polars":
        frame = pytest.importorskip("polars").from_arrow(table)

    np.testing.assert_array_equal(library.load(run).predict_proba(frame), expected)


@pytest.mark.filterwarnings("ignore::softclass.errors.SoftclassWarning")
def test_parquet_gives_the_numbers_of_the_file(run, columns, expected, tmp_path):
    pq.write_table(pa.table(columns), tmp_path / "rows.parquet")

    np.testing.assert_array_equal(library.load(run).predict_proba(tmp_path / "rows.parquet"), expected)


def test_bare_onnxruntime_gives_the_numbers_of_the_file(run, columns, expected):
    session = onnxruntime.InferenceSession(run / "model.onnx", providers=["CPUExecutionProvider"])
    feeds = {}
    for wanted in session.get_inputs():
        cells = columns[wanted.name].to_pylist()
        if wanted.type == "tensor(string)":
            feeds[wanted.name] = np.array([[cell or ""] for cell in cells], dtype=object)
        else:
            feeds[wanted.name] = np.array([[np.nan if cell is None else cell] for cell in cells])
    found = session.run(["probabilities"], feeds)[0]

    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    assert set(columns) - {wanted.name for wanted in session.get_inputs()} == {"remark"}
