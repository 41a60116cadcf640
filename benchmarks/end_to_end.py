"""What ``softclass train`` reaches on real sets: accuracy and log loss of the test part, seconds, memory.

The sets are not part of the repository; name the folder that holds them. Each is judged by the bound beside it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import harness

# Set -> arguments of train, and what the test part must reach: lowest accuracy, largest log loss, largest peak in MiB.
BOUNDS: dict[str, tuple[list[str], tuple[float, float, float]]] = {
    "penguins": (["penguins/penguins.csv", "-t", "species"], (0.97, 1.0, 2048)),
    "letter": (["{letter_train}", "-t", "lettr", "--test-data", "{letter_test}"], (0.765, 0.88, 2048)),
    "dry_bean": (
        ["dry_bean/Dry_Bean_Dataset_semicolon_decimalcomma.csv", "-t", "Class"],
        (0.92, 1.0, 2048),
    ),
    "kddcup99_10": (
        ["kddcup99_10/kddcup.data_10_percent.gz", "--no-header", "-t", "column_42"],
        (0.99, 0.03, 2048),
    ),
    "mnist": (["mnist"], (0.915, 1.0, 4096)),
    "fashion_mnist": (["fashion_mnist"], (0.835, 1.0, 4096)),
    "clothing_photos": (["clothing_photos"], (0.1, 10.0, 8192)),
}


def published_letter_split(data: Path, folder: Path) -> dict[str, str]:
    """Letter's own split: the first 16,000 rows train, the last 4,000 test."""
    header, *rows = (data / "letter" / "letter.csv").read_text().splitlines(keepends=True)
    parts = {"letter_train": rows[:16_000], "letter_test": rows[16_000:]}
    for name, part in parts.items():
        (folder / f"{name}.csv").write_text(header + "".join(part))
    return {name: str(folder / f"{name}.csv") for name in parts}


def main() -> int:
    """Train on each set in a process of its own; exit 1 if a bound is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the data sets")
    parser.add_argument("sets", nargs="*", default=list(BOUNDS), help="some of them")
    arguments = parser.parse_args()
    broken, measured, reached = False, {}, {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = published_letter_split(arguments.data, folder) if "letter" in arguments.sets else {}
        for data_set in arguments.sets:
            given, (accuracy, log_loss, peak) = BOUNDS[data_set]
            first, *rest = [part.format(**files) for part in given]
            source = first if Path(first).is_absolute() else str(arguments.data / first)
            run = folder / data_set
            command = [sys.executable, "-m", "softclass", "train", source, *rest, "-o", str(run), "--progress", "none"]
            measured[data_set] = harness.once(command)
            metrics = json.loads((run / "metrics.json").read_text())
            reached[data_set] = {key: metrics[key] for key in ("n", "accuracy", "log_loss", "ece")}
            ok = (
                metrics["accuracy"] >= accuracy
                and metrics["log_loss"] <= log_loss
                and measured[data_set].peak_mib <= peak
            )
            broken |= not ok
            print(
                f"{data_set:16} accuracy {metrics['accuracy']:.4f} (>= {accuracy})  log loss {metrics['log_loss']:.4f} "
                f"(<= {log_loss})  {measured[data_set].wall_median:6.1f} s  {measured[data_set].peak_mib:6.0f} MiB  "
                f"{'ok' if ok else 'BROKEN'}",
                flush=True,
            )
    if set(arguments.sets) == set(BOUNDS):
        print("wrote", harness.save("end_to_end", measured, {"reached": reached}))
    return int(broken)


if __name__ == "__main__":
    raise SystemExit(main())
