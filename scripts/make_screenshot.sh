#!/bin/sh
# Take docs/images/report.png again: train on the penguins that come with softclass, open the report in Chromium, and keep
# headline, confusion and reliability. Needs chromium, and softclass in the active environment.
#
#     scripts/make_screenshot.sh
set -eu

root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT INT TERM

table=$(python -c 'from softclass.data import samples; print(samples.path("penguins.csv"))')
python -m softclass train "$table" -t species -o "$folder/penguins" --quiet --progress none >"$folder/train.txt"

# Only the sections that the picture shows; the page itself is not touched.
python - "$folder" <<'PYTHON'
import sys
from pathlib import Path

folder = Path(sys.argv[1])
page = (folder / "penguins" / "report.html").read_text(encoding="utf-8")
style = """
#data, #parts, #scores, #classes, #worst, #fit, #weights, #odds, #made { display: none }
section { margin-top: 1.5rem; padding-top: 1.5rem }
"""
(folder / "page.html").write_text(page.replace("</head>", f"<style>{style}</style></head>"), encoding="utf-8")
PYTHON

chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --no-first-run --disable-background-networking \
  --user-data-dir="$folder/browser" --window-size=1300,1640 --screenshot="$folder/page.png" "file://$folder/page.html" \
  >"$folder/chromium.txt" 2>&1

python - "$folder/page.png" "$root/docs/images/report.png" <<'PYTHON'
import sys

from PIL import Image

picture = Image.open(sys.argv[1]).convert("RGB")
picture.save(sys.argv[2], optimize=True)
PYTHON
ls -l "$root/docs/images/report.png"
