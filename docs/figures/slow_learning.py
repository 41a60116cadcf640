"""Make the figures of docs/concepts/slow-learning.md and its Chinese twin again, from the functions of softclass.

python docs/figures/slow_learning.py            writes docs/concepts/images/slow-learning/*.svg
python docs/figures/slow_learning.py --check    says whether they are what would be written; exit status 1 if not

The curves of the network are medians of runs whose last digits differ between machines, so --check lets its points be
some pixels away; all other figures have to be the same to a tenth of a pixel.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from softclass.cli.slow_experiments import digits
from softclass.functions.slow_learning import median_curves
from softclass.report.slow_figures import LANGUAGES, figures

TARGET = Path(__file__).resolve().parents[1] / "concepts" / "images" / "slow-learning"
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def main() -> int:
    """Write the figures, or compare them."""
    curves = median_curves(*digits(), start_scales=(10.0,))
    wanted = {f"{name}.{code}.svg": text for code in LANGUAGES for name, text in figures(curves, code).items()}
    if sys.argv[1:] == ["--check"]:
        found = {path.name: path.read_text(encoding="utf-8") for path in TARGET.glob("*.svg")}
        names = wanted.keys() | found.keys()
        differing = sorted(name for name in names if not alike(name, wanted.get(name, ""), found.get(name, "")))
        verdict = f"{', '.join(differing)} differ; run docs/figures/slow_learning.py" if differing else "as made"
        print(f"{len(wanted)} figures: {verdict}")
        return 1 if differing else 0
    TARGET.mkdir(parents=True, exist_ok=True)
    for name, text in wanted.items():
        (TARGET / name).write_text(text, encoding="utf-8")
    print(f"{len(wanted)} figures in {TARGET.relative_to(TARGET.parents[2])}")
    return 0


def alike(name: str, wanted: str, found: str) -> bool:
    """Whether two files are the same but for pixels that nobody would see."""
    if NUMBER.sub("0", wanted) != NUMBER.sub("0", found):
        return False
    pairs = zip(NUMBER.findall(wanted), NUMBER.findall(found), strict=True)
    return max(abs(float(a) - float(b)) for a, b in pairs) <= (15.0 if name.startswith("network") else 0.1)


if __name__ == "__main__":
    sys.exit(main())
