"""Calls in one process against each other: warm-up, interleaved rounds, ratios inside a round; knows no benchmark."""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import repeat
from pathlib import Path
from typing import Any, TypeAlias

import harness
import machine

Call: TypeAlias = Callable[[], object]
Point: TypeAlias = dict[str, Any]  # one row of a results file

PEERS = ("numpy", "scipy", "torch", "jax")
SAMPLE_S = 1e-3  # short calls are repeated until a sample takes this long
SPREAD = 0.15  # between the quartiles of the copy, over its median: above, the point is measured again
ATTEMPTS = 2
LONG_S, FEWEST = 1.0, 5
QUIET = 0.1  # largest share of the cores that other processes may take


@dataclass(frozen=True)
class Setting:
    """How a process is started: how many threads, and whether PyTorch may ask for huge pages."""

    threads: int
    huge_pages: bool = False

    @property
    def name(self) -> str:
        """As tables say it."""
        count = f"{self.threads} thread{'s' * (self.threads > 1)}"
        return f"{count}, huge pages for torch" if self.huge_pages else count


@dataclass(frozen=True)
class Options:
    """What the command line of a benchmark says."""

    rounds: int
    smoke: bool
    peers: tuple[str, ...]
    extra: bool


@dataclass(frozen=True)
class Turns:
    """Seconds a call of every contestant by round, and the pages the kernel had to give them, a call."""

    seconds: dict[str, dict[int, float]]
    calls: dict[str, int]
    faults: dict[str, float]


def take_turns(contestants: Mapping[str, Call], rounds: int, warm: bool = False) -> Turns:
    """Warm up, unless they are `warm`, then let all run once a round; a result is made, freed, and both are timed.

    A contestant whose rounds would take more than a second leaves some of them out, evenly, but runs in five.
    """
    once = dict.fromkeys(contestants, 0.0) if warm else {name: _once(call) for name, call in contestants.items()}
    calls = {name: max(1, min(2000, int(SAMPLE_S / seconds))) if seconds else 1 for name, seconds in once.items()}
    every = {name: _every(seconds, rounds) for name, seconds in once.items()}
    turns = Turns({name: {} for name in calls}, calls, dict.fromkeys(calls, 0.0))
    gc.collect()
    gc.disable()
    try:
        for turn in range(rounds):
            for name in (name for name in contestants if turn % every[name] == 0):
                _sample(name, contestants[name], turn, turns)
    finally:
        gc.enable()
    return turns


def _sample(name: str, call: Call, turn: int, turns: Turns) -> None:
    pages = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    started = time.perf_counter()
    for _ in repeat(None, turns.calls[name]):
        call()
    turns.seconds[name][turn] = (time.perf_counter() - started) / turns.calls[name]
    pages = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - pages
    turns.faults[name] = pages / turns.calls[name]


def _once(call: Call) -> float:
    call()
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _every(seconds: float, rounds: int) -> int:
    """Run in one round of how many."""
    wanted = rounds if seconds * rounds <= LONG_S else max(FEWEST, int(LONG_S / seconds))
    return max(1, (rounds - 1) // (wanted - 1)) if wanted > 1 else 1


def measure(
    contestants: Mapping[str, Call],
    copies: Mapping[str, Call],
    rounds: int,
    ours: Callable[[str], Sequence[str]],
    bytes_moved: float = 0.0,
    bytes_copied: float = 0.0,
    warm: bool = False,
) -> Point:
    """Measure contestants and copies in the same rounds until the copy stands still; return a row of the results.

    `ours` names the contestants of softclass that a peer is divided by. The copy is the fastest of those given.
    """
    turns, copy, spread, attempts = _steady_turns(contestants, copies, rounds, warm)
    seconds = turns.seconds
    point: Point = {"attempts": attempts, "rounds": rounds, "copy": copy, "copy_spread": round(spread, 3)}
    point["contestants"] = {name: _row(turns, name) for name in seconds}
    point["ratios"] = {
        name: {own: quotients(seconds[name], seconds[own]) for own in _there(ours(name), seconds)}
        for name in contestants
    }
    if copy:
        point["copies"] = {name: quotients(seconds[name], seconds[copy])["median"] for name in contestants}
    if copy and bytes_moved:  # share of the speed, in bytes a second, of the copy
        share = bytes_moved / bytes_copied
        point["of_copy"] = {
            name: _short(share * quotients(seconds[copy], seconds[name])["median"])
            for name in contestants
            if name.startswith("softclass")
        }
    return point


def _there(names: Sequence[str], seconds: Mapping[str, object]) -> list[str]:
    """Ours with a given result, else ours with a fresh one, for functions that have only that."""
    found = [name if name in seconds else name.removesuffix(" out") for name in names]
    return [name for name in found if name in seconds]


def _steady_turns(
    contestants: Mapping[str, Call], copies: Mapping[str, Call], rounds: int, warm: bool
) -> tuple[Turns, str, float, int]:
    """Return the calmer of up to two measurements, its fastest copy, how far that moved, and how many there were."""
    found: list[tuple[Turns, str, float]] = []
    while len(found) < ATTEMPTS and not (found and found[-1][2] <= SPREAD):
        turns = take_turns({**copies, **contestants}, rounds, warm)
        copy = min(copies, key=lambda name: statistics.median(turns.seconds[name].values()), default="")
        found.append((turns, copy, _spread([*turns.seconds[copy].values()]) if copy else 0.0))
    turns, copy, spread = min(found, key=lambda one: one[2])
    return turns, copy, spread, len(found)


def quotients(above: Mapping[int, float], below: Mapping[int, float]) -> dict[str, float]:
    """Median and quartiles of the quotients inside the rounds in which both ran."""
    found = [above[turn] / below[turn] for turn in above.keys() & below.keys()]
    low, median, high = _quartiles(found)
    return {"median": _short(median), "q25": _short(low), "q75": _short(high)}


def _quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    if len(values) < 2:
        return values[0], values[0], values[0]
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, median, high


def _spread(seconds: Sequence[float]) -> float:
    low, median, high = _quartiles(seconds)
    return (high - low) / median


def _row(turns: Turns, name: str) -> dict[str, float]:
    seconds = [*turns.seconds[name].values()]
    low, median, high = _quartiles(seconds)
    values = {"min": min(seconds), "q25": low, "median": median, "q75": high}
    row: dict[str, float] = {f"{key}_us": _short(1e6 * value) for key, value in values.items()}
    return {**row, "rounds": len(seconds), "calls": turns.calls[name], "faults": round(turns.faults[name], 1)}


def _short(value: float) -> float:
    return float(f"{value:.5g}")


def geometric_mean(values: Sequence[float]) -> float:
    """The mean of ratios."""
    return math.exp(statistics.fmean(math.log(value) for value in values))


def run(name: str, document: str, measured: Callable[[Setting, Options], list[Point]], **how: Any) -> int:
    """Do what the command line asks: a smoke test here, or every setting in a process of its own, and a results file.

    `how`: `summarise`, which makes the lines of the summary from the points; `settings`, if not the usual three.
    """
    arguments = _parser(document).parse_args()
    options = Options(arguments.rounds, arguments.smoke, tuple(arguments.against), arguments.extra)
    if arguments.part:
        _write_part(arguments, options, measured)
        return 0
    if options.smoke:
        points = measured(Setting(len(machine.allowed_cores())), replace(options, rounds=2))
        print("\n".join(lines_of(points)))
        return 0
    load = os.getloadavg()
    parts = [_in_a_child(setting, arguments) for setting in how.get("settings", usual_settings())]
    points = [point for part in parts for point in part["points"]]
    summary = how["summarise"](points)
    for line in summary:
        print(summary_line(line))
    facts = {**machine.facts(), "load_before": load, "load_after": os.getloadavg()}
    facts["settings"] = {part["setting"]: part["facts"] for part in parts}
    for part in parts:
        if (part["facts"]["others_share_of_cores"] or 0) > QUIET:
            print(f"WARNING: with {part['setting']} other processes took more than {QUIET:.0%} of the cores")
    print("wrote", harness.write(name, {"facts": facts, "summary": summary, "points": points}))
    return 0


def usual_settings() -> list[Setting]:
    """One thread, all threads, and all threads with huge pages for PyTorch, which it takes only if it is told to."""
    threads = len(machine.allowed_cores())
    return [Setting(count) for count in sorted({1, threads})] + [Setting(threads, huge_pages=True)]


def _parser(document: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=document)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--smoke", action="store_true", help="two rounds of the smallest points, nothing written")
    parser.add_argument("--against", nargs="*", default=list(PEERS), metavar="PEER", help=f"some of {', '.join(PEERS)}")
    parser.add_argument("--extra", action="store_true", help="also what takes long")
    parser.add_argument("--part", nargs=3, metavar=("THREADS", "HUGE", "FILE"), help=argparse.SUPPRESS)
    return parser


def _write_part(arguments: Any, options: Options, measured: Callable[[Setting, Options], list[Point]]) -> None:
    threads, huge, file = arguments.part
    setting = Setting(int(threads), huge == "1")
    facts: dict[str, object] = {**machine.speeds(setting.threads)}
    others = machine.Others()
    points = measured(setting, options)
    facts["others_share_of_cores"] = others.share()
    print(f"\n=== {setting.name} ===", *lines_of(points), sep="\n", flush=True)
    facts["blas"] = machine.blas()
    for point in points:
        point["setting"] = setting.name
    part = {"setting": setting.name, "facts": facts, "points": points}
    Path(file).write_text(json.dumps(part))


def _in_a_child(setting: Setting, arguments: Any) -> dict[str, Any]:
    """Run this file again with so many threads, pinned to as many cores, before any library is loaded."""
    everywhere = machine.allowed_cores()
    count = str(setting.threads)
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "THP_MEM_ALLOC_ENABLE": str(int(setting.huge_pages))}
    environment |= dict.fromkeys(("SOFTCLASS_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), count)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "part.json"
        command = [sys.executable, sys.argv[0], "--rounds", str(arguments.rounds), "--against", *arguments.against]
        command += ["--extra"] * arguments.extra + ["--part", count, str(int(setting.huge_pages)), str(file)]
        try:
            if hasattr(os, "sched_setaffinity"):
                os.sched_setaffinity(0, sorted(everywhere)[-setting.threads :])
            subprocess.run(command, env=environment, check=True)
        finally:
            if hasattr(os, "sched_setaffinity"):
                os.sched_setaffinity(0, everywhere)
        part: dict[str, Any] = json.loads(file.read_text())
    return part


@dataclass(frozen=True)
class Target:
    """A line of the summary: what was promised, at least or at most, and what was reached in each setting."""

    what: str
    target: float
    unit: str
    reached: dict[str, float]
    judged: str  # the setting that decides
    at_most: bool = False

    def line(self) -> dict[str, Any]:
        """As a results file holds it."""
        value = self.reached.get(self.judged, math.nan)
        met = value <= self.target if self.at_most else value >= self.target
        return {**asdict(self), "reached": {key: _short(one) for key, one in self.reached.items()}, "met": met}


def judged() -> str:
    """The setting whose numbers decide: all cores, nothing else changed."""
    return Setting(len(machine.allowed_cores())).name


def mean_line(
    points: Sequence[Point],
    operation: str,
    grid: Sequence[tuple[int, int]],
    pair: tuple[str, str],
    target: float,
    label: str,
) -> dict[str, Any]:
    """Geometric mean over the float32 grid of a peer's time over ours, in every setting that measured all of it."""
    peer, own = pair
    found: dict[str, list[float]] = {}
    for point in points:
        ratio = point["ratios"].get(peer, {}).get(own)
        if ratio and point["operation"] == operation and point["dtype"] == "float32" and tuple(point["shape"]) in grid:
            found.setdefault(point["setting"], []).append(ratio["median"])
    reached = {name: geometric_mean(ratios) for name, ratios in found.items() if len(ratios) == len(grid)}
    return Target(f"{label}: {peer} / {own}", target, "x", reached, judged()).line()


def shares_of_copy(points: Sequence[Point], operation: str, own: str, shape: tuple[int, int]) -> dict[str, float]:
    """Our bytes a second, as a share of those of the copy, in every setting."""
    return {
        point["setting"]: point["of_copy"][own]
        for point in points
        if (point["operation"], point["dtype"], tuple(point["shape"])) == (operation, "float32", shape)
        and own in point.get("of_copy", {})
    }


def summary_line(line: Mapping[str, Any]) -> str:
    """One line for the terminal."""
    sign = "<=" if line["at_most"] else ">="
    reached = ", ".join(f"{value:.3g} ({setting})" for setting, value in line["reached"].items())
    verdict = "reached" if line["met"] else "NOT reached"
    return f"{line['what']:66} {sign} {line['target']:g} {line['unit']:7} {verdict:12} {reached}"


def lines_of(points: Sequence[Point]) -> list[str]:
    """A table for the terminal: median (quartiles) a call, how often ours, how many copies."""
    lines = []
    for point in points:
        again = f", measured {point['attempts']} times" * (point["attempts"] > 1)
        shape = " x ".join(f"{size:,}" for size in point["shape"])
        lines.append(f"\n{point['operation']} {point['dtype']} {shape}{again}")
        for name, row in point["contestants"].items():
            ratios, copies = point["ratios"].get(name, {}), point.get("copies", {}).get(name)
            lines.append(
                f"  {name:24} {row['median_us']:12.5g} us ({row['q25_us']:.4g}-{row['q75_us']:.4g})"
                f"{row['faults']:8.0f} faults"
                + (f"{copies:8.2f} copies" if copies else " " * 15)
                + ", ".join(f"{ratio['median']:8.2f} x {own}" for own, ratio in ratios.items())
            )
    return lines
