"""A pen that draws on the pad of the page, in NumPy: the twin of src/softclass/web/pen.js."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

PAD, BRUSH = 280, 20
DRAWINGS = json.loads((Path(__file__).parent / "pen_digits.json").read_text(encoding="utf-8"))

Stroke = Sequence[Sequence[float]]


def painted(strokes: Sequence[Stroke], brush: float = BRUSH) -> npt.NDArray[np.uint8]:
    """Return the pixels that a round pen leaves: how much of each lies within half of its width of a line."""
    down, across = np.mgrid[:PAD, :PAD] + 0.5
    cover = np.zeros((PAD, PAD))
    for stroke in strokes:
        for (x0, y0), (x1, y1) in zip([stroke[0], *stroke], stroke, strict=False):
            dx, dy = x1 - x0, y1 - y0
            squared = dx * dx + dy * dy
            right, below = across - x0, down - y0
            along = np.clip((right * dx + below * dy) / squared, 0, 1) if squared else 0.0
            a, b = right - along * dx, below - along * dy
            cover = np.maximum(cover, np.clip(brush / 2 + 0.5 - np.sqrt(a * a + b * b), 0, 1))
    return np.floor(255 * cover + 0.5).astype(np.uint8)
