"""How long until a command does something: import, help, and a whole prediction of 1,000 rows.

Limits: ``import softclass`` 150 ms and ``softclass --help`` 300 ms of CPU time beyond the bare interpreter;
``softclass predict`` of 1,000 rows 1 s of wall time as a whole process.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
from pathlib import Path

import harness
from softclass.data import samples

ROWS = 1000
# A symbolic name a figure, its limit in seconds, whether the bare interpreter is subtracted, and CPU or wall.
LIMITS = {"import": (0.150, True, "cpu"), "help": (0.300, True, "cpu"), "predict": (1.0, False, "wall")}


def rows_file(folder: Path) -> Path:
    """The penguins again and again, without the label, until there are 1,000 rows."""
    with samples.path("penguins.csv").open(newline="") as file:
        header, *rows = list(csv.reader(file))
    keep = [index for index, name in enumerate(header) if name != "species"]
    path = folder / "rows.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([header[index] for index in keep])
        writer.writerows([rows[number % len(rows)][index] for index in keep] for number in range(ROWS))
    return path


def main() -> int:
    """Measure and print; exit 1 if a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--smoke", action="store_true", help="two rounds, nothing written")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        python, model = sys.executable, folder / "run" / "model.onnx"
        # In a process of its own: the peak of a child counts what its parent held when it was started.
        train = [python, "-m", "softclass", "train", str(samples.path("penguins.csv")), "-t", "species", "--C", "1"]
        subprocess.run([*train, "-o", str(folder / "run"), "-q", "--no-report"], check=True, stdout=subprocess.DEVNULL)
        commands = {
            "bare": [python, "-c", "pass"],
            "import": [python, "-c", "import softclass"],
            "help": [python, "-m", "softclass", "--help"],
            "predict": [python, "-m", "softclass", "predict", str(model), str(rows_file(folder))],
        }
        measured = harness.compare(commands, rounds=2 if arguments.smoke else arguments.rounds)
    print(harness.table(measured))
    broken = False
    for what, (limit, beyond, clock) in LIMITS.items():
        seconds = getattr(measured[what], f"{clock}_median")
        if beyond:
            seconds -= getattr(measured["bare"], f"{clock}_median")
        broken |= seconds > limit
        verdict = "over the limit" if seconds > limit else "within the limit"
        print(f"{what:8} {seconds * 1000:6.0f} ms of {limit * 1000:.0f} ms {clock}: {verdict}")
    if not arguments.smoke:
        print("wrote", harness.save("cold_start", measured, {"rows": ROWS}))
    return int(broken and not arguments.smoke)


if __name__ == "__main__":
    raise SystemExit(main())
