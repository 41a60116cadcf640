"""Write the golden models of this version: files that every later softclass must read, and what they say.

Run it once for a release, with the path of the source tree and the tests on PYTHONPATH; it refuses to touch a folder
that is there already, since a golden file that changes proves nothing.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import softclass  # noqa: E402
from made_models import make_images, make_table  # noqa: E402
from softclass.model.session import Session  # noqa: E402


def main() -> None:
    """Write one model of a table and one of images, with the probabilities and labels of their samples."""
    folder = ROOT / "tests" / "model" / "golden" / softclass.__version__
    folder.mkdir(parents=True)
    for name, model in (("table", make_table()), ("images", make_images())):
        found = Session(model.data, threads=1).run(model.manifest.sample.feeds(model.preprocessing, model.image))
        (folder / f"{name}.onnx").write_bytes(model.data)
        kept = {"probabilities": found.probabilities.tolist(), "labels": found.labels.tolist()}
        (folder / f"{name}.json").write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
    print(f"wrote {folder}")


if __name__ == "__main__":
    main()
