"""Measure whole processes fairly: warm-up, interleaved rounds, medians, CPU and wall seconds; knows no benchmark."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Measured:
    """Seconds of one command over all rounds."""

    n: int
    cpu_min: float
    cpu_median: float
    cpu_max: float
    wall_min: float
    wall_median: float
    wall_max: float
    peak_mib: float


def _run(command: Sequence[str], stdin: bytes | None) -> tuple[float, float, float]:
    """CPU seconds, wall seconds and peak MiB of one process and its children."""
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    if stdin is not None:
        assert process.stdin is not None
        process.stdin.write(stdin)
        process.stdin.close()
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} gave {process.returncode}: {errors.decode()[-2000:]}")
    return usage.ru_utime + usage.ru_stime, time.perf_counter() - started, usage.ru_maxrss / 1024


def compare(
    commands: Mapping[str, Sequence[str]], *, rounds: int, stdin: Mapping[str, bytes] | None = None
) -> dict[str, Measured]:
    """Run each command once to warm up, then all of them in turn, round by round."""
    given = stdin or {}
    for name, command in commands.items():
        _run(command, given.get(name))
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            found[name].append(_run(command, given.get(name)))
    measured = {}
    for name, rows in found.items():
        cpu, wall, peak = (sorted(column) for column in zip(*rows, strict=True))
        measured[name] = Measured(
            rounds, cpu[0], statistics.median(cpu), cpu[-1], wall[0], statistics.median(wall), wall[-1], peak[-1]
        )
    return measured


def once(command: Sequence[str]) -> Measured:
    """Run a command that takes too long for rounds a single time."""
    cpu, wall, peak = _run(command, None)
    return Measured(1, cpu, cpu, cpu, wall, wall, wall, peak)


def save(benchmark: str, measured: Mapping[str, Measured], facts: Mapping[str, object]) -> Path:
    """Write the results beside facts about the machine; return the file."""
    document = {
        "python": platform.python_version(),
        "commit": subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
        ).stdout.strip(),
        **facts,
        "measured": {name: asdict(one) for name, one in measured.items()},
    }
    return _place(benchmark, json.dumps(document, indent=1) + "\n")


def write(benchmark: str, document: Mapping[str, object]) -> Path:
    """Write results made by `rounds`, one line an entry of a list; return the file."""
    entries = [f"{json.dumps(key)}: {_lines(value)}" for key, value in document.items()]
    return _place(benchmark, "{\n" + ",\n".join(entries) + "\n}\n")


def _lines(value: object) -> str:
    if isinstance(value, list):
        return "[\n" + ",\n".join(json.dumps(one) for one in value) + "\n]"
    return json.dumps(value, indent=1)


def _place(benchmark: str, text: str) -> Path:
    path = place(benchmark)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def place(benchmark: str) -> Path:
    """The results file of a benchmark on this machine."""
    return RESULTS / f"{platform.system().lower()}-{platform.machine()}-{os.cpu_count()}cores" / f"{benchmark}.json"


def table(measured: Mapping[str, Measured]) -> str:
    """A table for the terminal: median (min - max), seconds."""
    lines = [f"{'':32}{'CPU s':>24}{'wall s':>24}{'peak MiB':>10}"]
    for name, one in measured.items():
        cpu = f"{one.cpu_median:.3f} ({one.cpu_min:.3f}-{one.cpu_max:.3f})"
        wall = f"{one.wall_median:.3f} ({one.wall_min:.3f}-{one.wall_max:.3f})"
        lines.append(f"{name:32}{cpu:>24}{wall:>24}{one.peak_mib:>10.0f}")
    return "\n".join(lines)
