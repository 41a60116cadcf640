"""What a softmax can reach at all: the ratios that a result at the speed of a copy of its bytes would have.

python benchmarks/limits.py      reads the results of benchmarks/softmax.py; measures nothing itself
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rounds import geometric_mean

RESULTS = Path(__file__).resolve().parent / "results"
WORDS = ("softmax", "log_softmax", "logsumexp")
PEERS = ("torch", "scipy")
CALL_US = 0.4  # what a call of a compiled function with an array costs that does nothing: no small call is below


def ratios(points: list[dict[str, Any]], setting: str, word: str, peer: str) -> tuple[float, float] | None:
    """Return peer / ours and peer / a copy into fresh memory, geometric means in float32; None if not measured."""
    here = [p for p in points if p["setting"] == setting and p["dtype"] == "float32"]
    copies = {tuple(p["shape"]): p["contestants"].get("copy fresh") for p in here if p["operation"] == "softmax"}
    ours, limit = [], []
    for point in here:
        times, copy = point["contestants"], copies.get(tuple(point["shape"]))
        if point["operation"] != word or peer not in times or copy is None:
            continue
        theirs = times[peer]["median_us"]
        ours.append(theirs / times["softclass"]["median_us"])
        # The result of logsumexp is small: it only reads, which takes half of a copy into memory that is there.
        least = 0.5 * times["copy"]["median_us"] if word == "logsumexp" else copy["median_us"]
        limit.append(theirs / max(CALL_US, least))
    return (geometric_mean(ours), geometric_mean(limit)) if ours else None


def main() -> None:
    """Print a table for every machine that has results."""
    for path in sorted(RESULTS.glob("*/softmax.json")):
        points = json.loads(path.read_text(encoding="utf-8"))["points"]
        settings = list(dict.fromkeys(p["setting"] for p in points))
        print(f"{path.parent.name}: peer / ours, and peer / copy: what no implementation can exceed")
        for word in WORDS:
            for peer in PEERS:
                for setting in settings:
                    found = ratios(points, setting, word, peer)
                    if found is not None:
                        own, limit = found
                        share = f"{own / limit:4.0%} of the limit"
                        print(f"  {word:12} {peer:6} {setting:36} {own:6.2f} {limit:6.2f}   {share}")


if __name__ == "__main__":
    main()
