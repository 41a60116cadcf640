"""Small image files for the tests of data/."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image


def png_bytes(colour: int | tuple[int, int, int] = 0, size: tuple[int, int] = (4, 3)) -> bytes:
    """A PNG of one colour; grey if the colour is one number. Size: (width, height)."""
    file = io.BytesIO()
    Image.new("L" if isinstance(colour, int) else "RGB", size, colour).save(file, "PNG")
    return file.getvalue()


def write_tree(root: Path, files: dict[str, bytes]) -> Path:
    """Write files under a folder; a name that ends in "/" is an empty folder."""
    for name, content in files.items():
        path = root / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return root


def idx_bytes(array: np.ndarray, code: int = 8) -> bytes:
    """An IDX file, by the letter of the format."""
    header = bytes([0, 0, code, array.ndim]) + b"".join(side.to_bytes(4, "big") for side in array.shape)
    return header + array.tobytes()
