"""Rows from disk: `fit_batches` over a Parquet file four times a memory limit, against `fit` of its rows in memory.

Each fit is a process of its own on one thread, taken in turns. `first read`: decoding the file and writing the
temporary one, or decoding it into one array. `passes`: all that follows, which reads every row `n_passes_` times; the
ratio of the two is the speed of a pass from disk. `memory`: anonymous memory at its peak, above what the imports took;
pages of a mapped file belong to the system and are not counted. Both fits must reach the same objective; large rows in
memory of which most numbers are at rest take a pass of their own, whose sums differ in the last bits.
"""

from __future__ import annotations

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "SOFTCLASS_NUM_THREADS"), "1"))

import argparse
import hashlib
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

import harness
import machine
import made_data
from softclass import SoftmaxRegression

ROWS = 2_000_000
BATCH_ROWS = 65_536
GROUP_ROWS = 100_000
TIMES = 4  # the data are so many times the limit
WAYS = ("disk", "memory")


class ParquetBatches:
    """Batches of a Parquet file, read anew at every loop."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.read_at = 0.0, 0.0  # CPU and wall clock when the last row had come

    def __iter__(self) -> Iterator[tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]]:
        file = pq.ParquetFile(self.path, pre_buffer=False, buffer_size=2**16)
        for batch in file.iter_batches(BATCH_ROWS, use_threads=False):
            yield rows_of(pa.table(batch))
        self.read_at = time.process_time(), time.perf_counter()


def rows_of(table: pa.Table) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return features and labels of some rows; the label is the last column."""
    features = np.empty((table.num_rows, table.num_columns - 1), dtype=np.float32)
    for j, column in enumerate(table.columns[:-1]):
        features[:, j] = column.to_numpy()
    return features, table.columns[-1].to_numpy()


def anonymous_bytes() -> int:
    """Return the memory that is not that of a file; 0 where the system does not tell."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))


def child(way: str, path: str, tol: float) -> dict[str, Any]:
    """Fit once and say what it took."""
    warnings.simplefilter("ignore")
    SoftmaxRegression().fit([[0.0], [1.0]], [0, 1])  # imports
    before, largest, done = anonymous_bytes(), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            largest[0] = max(largest[0], anonymous_bytes())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    model = SoftmaxRegression(tol=tol, n_jobs=1)
    start = time.process_time(), time.perf_counter()
    batches = ParquetBatches(path)
    if way == "disk":
        model.fit_batches(batches)
    else:
        model.fit(*in_one_array(batches))
    end = time.process_time(), time.perf_counter()
    done.set()
    watcher.join()
    return {
        "way": way,
        "cpu_read_s": batches.read_at[0] - start[0],
        "cpu_passes_s": end[0] - batches.read_at[0],
        "wall_read_s": batches.read_at[1] - start[1],
        "wall_passes_s": end[1] - batches.read_at[1],
        "passes": int(model.n_passes_),
        "memory_mib": (largest[0] - before) / 2**20,
        "objective": float(model.objective_),
        "bits": hashlib.sha256(model.coef_.tobytes() + model.intercept_.tobytes()).hexdigest(),
    }


def in_one_array(batches: ParquetBatches) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return all rows, held once."""
    n_rows, n_columns = pq.read_metadata(batches.path).num_rows, len(pq.read_schema(batches.path))
    features, labels = np.empty((n_rows, n_columns - 1), dtype=np.float32), np.empty(n_rows, dtype=np.int64)
    first = 0
    for some, y in batches:
        features[first : first + len(y)], labels[first : first + len(y)] = some, y
        first += len(y)
    return features, labels


def write_file(path: Path, n_rows: int) -> int:
    """Write the file; return the bytes that its features take in memory."""
    writer = None
    for number, first in enumerate(range(0, n_rows, GROUP_ROWS)):
        X, y = made_data.forest(min(GROUP_ROWS, n_rows - first), seed=number)
        features = X.astype(np.float32)
        table = pa.table({**{f"x{j}": features[:, j] for j in range(X.shape[1])}, "y": y.astype(np.int64)})
        writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table)
    assert writer is not None
    writer.close()
    return 4 * n_rows * (len(table.column_names) - 1)


def main() -> int:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--tol", type=float, default=1e-4)
    parser.add_argument("--smoke", action="store_true", help="a hundredth of the work, nothing written")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        way, file = arguments.child
        print(json.dumps(child(way, file, arguments.tol)))
        return 0
    rounds, n_rows = (1, 20_000) if arguments.smoke else (arguments.rounds, arguments.rows)
    found: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory(prefix="softclass-streaming-") as folder:
        path = Path(folder) / "rows.parquet"
        size = write_file(path, n_rows)
        file_size = path.stat().st_size
        for _ in range(rounds):
            for way in WAYS:
                command = [sys.executable, __file__, "--tol", str(arguments.tol), "--child", way, str(path)]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                found[way].append(json.loads(done.stdout))
    limit = size / TIMES
    print(f"file {file_size / 2**20:.0f} MiB, in memory {size / 2**20:.0f} MiB, limit {limit / 2**20:.0f} MiB")
    for way, ones in found.items():
        read, passes, wall, memory = (
            statistics.median(one[name] for one in ones)
            for name in ("cpu_read_s", "cpu_passes_s", "wall_passes_s", "memory_mib")
        )
        print(
            f"{way:8} first read {read:7.2f} CPU s   {ones[0]['passes']} passes {passes:7.2f} CPU s {wall:7.2f} wall s"
            f"   peak memory {memory:6.0f} MiB"
        )
    pairs = list(zip(found["disk"], found["memory"], strict=True))
    ratios = {
        "pass_cpu": [held["cpu_passes_s"] / read["cpu_passes_s"] for read, held in pairs],
        "pass_wall": [held["wall_passes_s"] / read["wall_passes_s"] for read, held in pairs],
        "whole_cpu": [
            (held["cpu_read_s"] + held["cpu_passes_s"]) / (read["cpu_read_s"] + read["cpu_passes_s"])
            for read, held in pairs
        ],
        "whole_wall": [
            (held["wall_read_s"] + held["wall_passes_s"]) / (read["wall_read_s"] + read["wall_passes_s"])
            for read, held in pairs
        ],
    }
    for name, values in ratios.items():
        print(f"speed from disk / in memory, {name:10} {statistics.median(values):6.1%}")
    bits = {one["bits"] for ones in found.values() for one in ones}
    reached = [one["objective"] for ones in found.values() for one in ones]
    spread = (max(reached) - min(reached)) / min(reached)
    print(f"objectives differ by {spread:.1e}, bits are {'equal' if len(bits) == 1 else 'not equal'}")
    if not arguments.smoke:
        sizes = {"rows": n_rows, "file_bytes": file_size, "memory_bytes": size, "limit_bytes": limit}
        facts = {**sizes, "tol": arguments.tol}
        lines = [one for ones in found.values() for one in ones]
        written = harness.write("streaming", {**machine.facts(), **facts, "ratios": ratios, "lines": lines})
        print("wrote", written)
    return 0 if spread <= arguments.tol else 1


if __name__ == "__main__":
    raise SystemExit(main())
