"""Tables that take more than the memory limit: the same model to the byte, in a fraction of the memory."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from softclass.errors import TableError
from softclass.model.train import train

SAME = ("model.onnx", "schema.json", "predictions-test.parquet")


class Told:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.facts: dict[str, Any] = {}

    def __call__(self, event: str, facts: dict[str, Any]) -> None:
        self.facts[event] = facts


@pytest.fixture(autouse=True)
def _blocks_of_few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("softclass.data.blocks.MOST_ROWS", 100)
    monkeypatch.setattr("softclass.data.blocks.FEWEST_ROWS", 50)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table with a column of each kind, gaps, and rows without a label."""
    draw = random.Random(0)
    path = tmp_path_factory.mktemp("mixed") / "mixed.csv"
    with path.open("w", encoding="utf-8") as file:
        file.write("when,size,step,colour,open,site,part,weight,kind\n")
        for row in range(700):
            size = draw.gauss(0, 1)
            kind = "p" if size + draw.gauss(0, 1) > 0 else draw.choice("qr")
            cells = [
                f"2024-{1 + row % 12:02d}-{1 + row % 28:02d}",
                "" if draw.random() < 0.03 else f"{size}",
                str(draw.randint(0, 9)),
                draw.choice(["red", "green", "NA", "blue"]),
                draw.choice(["yes", "no"]),
                f"s{row % 40}",
                draw.choice(["fit", "fit", "fit", "calibration", "test"]),
                str(1 + row % 3),
                "" if row % 100 == 7 else kind,
            ]
            file.write(",".join(cells) + "\n")
    return path


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"group": "site", "sample_weight": "weight", "class_weight": "balanced"},
        {"time": "when", "category": ["step"]},
        {"split_column": "part", "C": 1.0},
        {"rows": 400, "cv": 2, "path": True, "l1_ratio": 0.5},
        {"odds_ratios": True, "C": 1.0, "calibration": 0.3},
    ],
    ids=["plain", "groups and weights", "time", "own parts", "sample, folds, path", "odds"],
)
def test_a_streamed_table_gives_the_same_files(mixed: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    told = Told()
    options = {"drop_missing_target": True, "drop": ["part"], **options}
    if "split_column" in options:
        options["drop"] = []
    if options.get("sample_weight") is None:
        options["drop"] = [*options["drop"], "weight"]
    train(mixed, "kind", output=tmp_path / "whole", progress=Told(), **options)
    train(mixed, "kind", output=tmp_path / "streamed", progress=told, memory_limit=1, **options)

    assert told.facts["data"]["on_disk"]
    assert told.facts["fit"]["streamed"]
    for name in SAME:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "streamed" / name).read_bytes()
    first, second = (json.loads((tmp_path / run / "metrics.json").read_text()) for run in ("whole", "streamed"))
    for facts in (first, second):
        facts["fit"].pop("seconds")
        assert facts["fit"].pop("streamed") is (facts is second)
    assert first == second


def test_a_test_file_of_its_own_is_streamed_too(mixed: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"drop_missing_target": True, "C": 1.0, "progress": Told(), "drop": ["weight", "part"]}
    lines = [line for line in mixed.read_text().splitlines(keepends=True) if not line.endswith(",\n")]
    further = tmp_path / "further.csv"
    further.write_text("".join(lines), encoding="utf-8")

    whole = train(mixed, "kind", test_data=further, **options)
    streamed = train(mixed, "kind", test_data=further, memory_limit=1, **options)

    assert whole.to_bytes() == streamed.to_bytes()


def test_parquet_in_row_groups_gives_the_same_model(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((900, 5)).astype(np.float32)
    columns = {f"x{j}": x[:, j] for j in range(5)}
    columns["colour"] = pa.array(rng.choice(["r", "g", "b"], 900)).dictionary_encode()
    table = pa.table({**columns, "y": (x[:, 0] + rng.standard_normal(900) > 0).astype(np.int64)})
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=250)

    whole = train(tmp_path / "rows.parquet", "y", progress=Told())
    told = Told()
    streamed = train(tmp_path / "rows.parquet", "y", memory_limit=20_000, progress=told)

    assert told.facts["data"]["on_disk"]
    assert whole.to_bytes() == streamed.to_bytes()


def test_a_small_table_stays_in_memory(mixed: Path) -> None:
    told = Told()
    train(mixed, "kind", drop_missing_target=True, C=1.0, memory_limit="10MB", progress=told)
    assert told.facts["data"]["on_disk"] is told.facts["fit"]["streamed"] is False


def test_an_error_names_the_line_of_a_streamed_table(mixed: Path) -> None:
    with pytest.raises(TableError) as whole:
        train(mixed, "kind", progress=Told())
    with pytest.raises(TableError) as streamed:
        train(mixed, "kind", memory_limit=1, progress=Told())

    assert str(whole.value) == str(streamed.value)
    assert "line 9" in str(whole.value)


CHILD = """
import sys, threading, time
import numpy as np, onnxruntime, pyarrow.parquet, sklearn.linear_model
from softclass.model.train import train

def held():
    [line] = [line for line in open("/proc/self/status") if line.startswith("RssAnon")]
    return int(line.split()[1]) * 1024

largest = [0]
def watch():
    while True:
        largest[0] = max(largest[0], held())
        time.sleep(0.002)

before = held()
threading.Thread(target=watch, daemon=True).start()
train(sys.argv[1], "y", C=1.0, tol=1e-2, threads=1, memory_limit=sys.argv[2], progress=lambda *_: None)
print(largest[0] - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs the memory figures of Linux")
def test_memory_is_a_fraction_of_the_table(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path, columns = tmp_path / "big.parquet", 100
    writer = None
    for _ in range(10):
        x = rng.standard_normal((10_000, columns), dtype=np.float32)
        table = pa.table({**{f"x{j}": x[:, j] for j in range(columns)}, "y": rng.choice(["a", "b"], 10_000)})
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    assert writer is not None
    writer.close()

    whole, streamed = (
        int(subprocess.run([sys.executable, "-c", CHILD, path, limit], check=True, capture_output=True).stdout)
        for limit in ("4GiB", "12MB")
    )

    # Raw, encoded, features and their scaled copy: 20 bytes a cell. Streamed: blocks, and arrays of one column.
    assert whole > 20 * 100_000 * columns * 0.8
    assert streamed < 160e6
    assert streamed < whole * 0.7
