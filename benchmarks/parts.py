"""A results file made in parts: a run adds rounds to a section and says how busy the machine was; knows no benchmark.

A section may take longer than anyone wants to wait at one go. So each of its parts is kept line by line, with its own
head (commit, versions, digest of the compiled module, load, share of the cores that others took), and the table of the
section is made of all lines. Parts of one engine and one set of libraries are put together; a part of another begins
its section anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import harness
import machine

BUSY = 2.0  # load above which a part is called busy
SAME = ("engine", "versions", "processor")  # what the parts of a section share
Line = dict[str, Any]


class Part:
    """The head of a part; made before anything is measured.

    Attributes
    ----------
    facts : dict
        What does not change while it is measured.
    """

    def __init__(self) -> None:
        self.facts = {**machine.facts(), "engine": engine_digest()}
        self._load = os.getloadavg()[0]
        self._others = machine.Others()

    def head(self) -> Line:
        """Return what the lines of this part were measured with; asked for when they are there."""
        loads = (self._load, os.getloadavg()[0])
        kept = {name: self.facts[name] for name in ("commit", "changed_files", *SAME)}
        found = {"load_before": loads[0], "load_after": loads[1], "others_share_of_cores": self._others.share()}
        return {**kept, **found, "busy": max(loads) > BUSY}


def engine_digest() -> str:
    """Return the first digits of the SHA-256 of the compiled module that is measured."""
    from softclass.kernels import _cpu

    assert _cpu.__file__ is not None
    return hashlib.sha256(Path(_cpu.__file__).read_bytes()).hexdigest()[:16]


def add(
    benchmark: str, section: str, part: Part, lines: Sequence[Line], table_of: Callable[[list[Line]], list[Line]]
) -> Path:
    """Add lines to a section, make its table anew of all lines, and write the file.

    Parameters
    ----------
    benchmark, section : str
        Name of the file, and of the table in it.
    part : Part
        Head of these lines.
    lines : sequence of dict
        As measured; the key ``part`` is set to the number of the part.
    table_of : callable
        Makes the rows of the table of the lines of all parts.

    Returns
    -------
    Path
        The file.
    """
    path = harness.place(benchmark)
    document: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    head = part.head()
    heads: list[Line] = document.get(f"{section}_parts", [])
    kept: list[Line] = document.get(f"{section}_lines", [])
    if heads and any(heads[-1][name] != head[name] for name in SAME):
        print(f"{section}: begun anew, since the parts that are there are of another engine or other libraries")
        heads, kept = [], []
    kept = [*kept, *({**line, "part": len(heads)} for line in lines)]
    heads = [*heads, head]
    document |= {section: table_of(kept), f"{section}_parts": heads, f"{section}_lines": kept}
    document = {"facts": {name: part.facts[name] for name in part.facts if name != "engine"}, **_without_head(document)}
    document["note"] = busy_note(document)
    return harness.write(benchmark, document)


def _without_head(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in ("facts", "note")}


def busy_note(document: dict[str, Any]) -> str:
    """Return a sentence on how busy the machine was while the parts were measured."""
    heads = [head for name, value in document.items() if name.endswith("_parts") for head in value]
    busy = [head for head in heads if head["busy"]]
    if not busy:
        return (
            f"Measured in {len(heads)} part{'s' * (len(heads) > 1)}; the load of the machine was never above {BUSY:g}."
        )
    highest = max(max(head["load_before"], head["load_after"]) for head in busy)
    return (
        f"The machine was busy in {len(busy)} of {len(heads)} parts, with a load of up to {highest:.1f}: CPU seconds "
        "and ratios inside a round count, wall seconds do not."
    )


def medians(
    lines: Sequence[Line], by: str, own: Callable[[Line], str], seconds: str, *, beside: Sequence[str] = ()
) -> list[Line]:
    """Return a row a contestant: median and range of its seconds, and the median over rounds of its ratio to ours.

    Parameters
    ----------
    lines : sequence of dict
        With ``part`` and ``round``; a contestant has one line a round.
    by : str
        Key of the contestant's name.
    own : callable
        Name of the contestant that is ours, to which the one of a line is compared.
    seconds : str
        Key of what is compared.
    beside : sequence of str
        Keys of which the median is given too.
    """
    rounds = {(line["part"], line["round"], line[by]): line[seconds] for line in lines}
    found = []
    for name, last in {line[by]: line for line in lines}.items():
        mine = [line for line in lines if line[by] == name]
        times = [line[seconds] for line in mine]
        pairs = [(line[seconds], rounds.get((line["part"], line["round"], own(line)))) for line in mine]
        ratios = [theirs / ours for theirs, ours in pairs if ours]
        found.append({
            **{key: value for key, value in last.items() if key not in ("part", "round")},
            **{key: statistics.median(line[key] for line in mine) for key in beside},
            seconds: statistics.median(times), "rounds": len(times), "spread_s": [min(times), max(times)],
            "over_ours": statistics.median(ratios) if ratios else None,
        })  # fmt: skip
    return found
