"""Small pictures as PNG: the images a model got wrong, and the weights of each class."""

from __future__ import annotations

import base64
import io

import numpy as np
import numpy.typing as npt
from PIL import Image

from softclass._typing import Pixels

THUMBNAIL_SIZE = 96
# Positive and negative evidence: the accent of the page, and its warm opposite; opacity carries the size, so that
# zero shows the paper itself, light or dark.
POSITIVE = (47, 95, 208)
NEGATIVE = (208, 92, 26)
# Pixels above this share of all sizes are drawn in full colour, so that a few extreme ones do not hide the rest.
FULL_COLOUR_AT = 0.99


def thumbnail_png(pixels: Pixels, *, size: int = THUMBNAIL_SIZE) -> bytes:
    """Return an image as a PNG of at most `size` pixels a side.

    Parameters
    ----------
    pixels : uint8 array of shape (height, width, channels)
        One or three channels.
    size : int, default 96
        Largest side. Small images are enlarged by a whole factor without smoothing, large ones are reduced.

    Returns
    -------
    bytes
        A PNG file.

    Examples
    --------
    >>> import numpy as np
    >>> thumbnail_png(np.zeros((8, 8, 1), dtype=np.uint8))[:4]
    b'\\x89PNG'
    """
    image = _image(pixels)
    largest = max(image.size)
    if largest > size:
        image.thumbnail((size, size), Image.Resampling.LANCZOS)
    elif largest <= size // 2:
        factor = size // largest
        image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    return _png(image)


def shrunk(pixels: Pixels, side: int) -> Pixels:
    """Return images of at most `side` pixels a side; smaller ones stay as they are.

    Parameters
    ----------
    pixels : uint8 array of shape (n, height, width, channels)
        One or three channels.
    side : int
        Largest height or width.

    Returns
    -------
    uint8 array of shape (n, new_height, new_width, channels)
        Each pixel the mean of those it stands for.

    Examples
    --------
    >>> import numpy as np
    >>> shrunk(np.zeros((2, 100, 50, 3), dtype=np.uint8), 32).shape
    (2, 32, 16, 3)
    """
    n, height, width, channels = pixels.shape
    scale = side / max(height, width)
    if scale >= 1:
        return pixels
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = np.empty((n, size[1], size[0], channels), dtype=np.uint8)
    for number, image in enumerate(pixels):
        resized = _image(image).resize(size, Image.Resampling.BOX)
        small[number] = np.asarray(resized).reshape(small.shape[1:])
    return small


def sheet_png(pixels: Pixels, columns: int) -> bytes:
    """Return images side by side, row after row, as one PNG.

    Parameters
    ----------
    pixels : uint8 array of shape (n, height, width, channels)
        One or three channels.
    columns : int
        Images in a row; places that no image takes are black.

    Returns
    -------
    bytes
        A PNG file.

    Examples
    --------
    >>> import numpy as np
    >>> sheet_png(np.zeros((3, 8, 8, 1), dtype=np.uint8), 2)[:4]
    b'\\x89PNG'
    """
    n, height, width, channels = pixels.shape
    rows = max(1, -(-n // columns))
    sheet = np.zeros((rows * columns, height, width, channels), dtype=np.uint8)
    sheet[:n] = pixels
    grid = sheet.reshape(rows, columns, height, width, channels).transpose(0, 2, 1, 3, 4)
    return _png(_image(grid.reshape(rows * height, columns * width, channels)))


def weight_png(weight: npt.NDArray[np.floating], scale: float) -> bytes:
    """Return weights of shape (height, width) as a PNG: blue above zero, orange below, clear at zero.

    Examples
    --------
    >>> import numpy as np
    >>> weight_png(np.array([[1.0, -1.0]]), scale=1.0)[:4]
    b'\\x89PNG'
    """
    strength = np.clip(np.abs(weight) / scale, 0.0, 1.0) if scale > 0 else np.zeros(weight.shape)
    picture = np.empty((*weight.shape, 4), dtype=np.uint8)
    picture[..., :3] = np.where((weight >= 0)[..., None], POSITIVE, NEGATIVE)
    picture[..., 3] = np.round(255 * strength)
    return _png(Image.fromarray(picture))


def weight_scale(weight: npt.NDArray[np.floating]) -> float:
    """Return the size of weight that is drawn in full colour, the same for all classes.

    Examples
    --------
    >>> import numpy as np
    >>> weight_scale(np.array([0.0, -2.0, 1.0, 2.0]))
    2.0
    """
    sizes = np.abs(weight)
    return float(np.quantile(sizes, FULL_COLOUR_AT, method="higher")) if sizes.size else 0.0


def data_uri(png: bytes) -> str:
    """Return a PNG as an address that holds the picture itself.

    Examples
    --------
    >>> data_uri(b"x")
    'data:image/png;base64,eA=='
    """
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _image(pixels: Pixels) -> Image.Image:
    """One image of shape (height, width, channels) as Pillow holds it."""
    array = np.ascontiguousarray(pixels)
    return Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)


def _png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format="PNG", optimize=True)
    return stream.getvalue()
