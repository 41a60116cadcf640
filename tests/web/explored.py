"""Models for the tests of the page: a table whose every text is markup, and images, each with rows to show."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import softclass
from made_models import make_images
from softclass.errors import Notes
from softclass.model.file import open_model
from softclass.model.model import Model
from softclass.server.evaluations import shown_data
from softclass.server.explore import Explored

PANELS = ("softmax", "loss", "slow", "plane", "digit", "mistakes", "reliability", "sets")
PLANT = "<img src=x onerror=globalThis.planted=1>"
NAMES = ("<script>globalThis.planted=1</script>", "</script><b>bold</b>", "\"&amp;'")
COLUMN, WORD = f"width {PLANT}", "</td><svg onload=globalThis.planted=1>"


def markup_table(folder: Path) -> tuple[Model, Path]:
    """A model of a table whose column, cells and classes are markup, and its rows as a file."""
    random = np.random.default_rng(2)
    targets = np.arange(90) % 3
    rows = {
        COLUMN: np.round(targets + random.normal(scale=0.6, size=90), 4).astype(str).tolist(),
        "depth": np.round(random.normal(size=90), 4).astype(str).tolist(),
        "word": [WORD if at % 2 else "plain" for at in range(90)],
        "kind": [NAMES[target] for target in targets],
    }
    lines = [rows.keys(), *zip(*rows.values(), strict=True)]
    quoted = [",".join('"' + cell.replace('"', '""') + '"' for cell in line) for line in lines]
    path = folder / "markup.csv"
    path.write_text("\n".join(quoted) + "\n", encoding="utf-8")
    return softclass.train(path, "kind", C=1.0, progress=lambda event, facts: None), path


def explored_table(folder: Path) -> Explored:
    """The table of markup, as the server of the page has it."""
    model, path = markup_table(folder)
    return Explored(model, NAMES[0], [shown_data(model, str(path), Notes())], threads=1)


def explored_images(folder: Path) -> tuple[Explored, Model]:
    """A model of 6 x 5 coloured images, softmax on pixels, with 40 random images to show."""
    model = Model(open_model(make_images(3).data), threads=1)
    random = np.random.default_rng(4)
    labels = [label.name for label in model.manifest.classes]
    path = folder / "colours.npz"
    np.savez(path, x=random.integers(256, size=(40, 6, 5, 3)).astype(np.uint8), y=[labels[at % 3] for at in range(40)])
    return Explored(model, "colours", [shown_data(model, str(path), Notes())], threads=1), model
