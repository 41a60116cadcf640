"""Pixels to features: the mean and spread of each channel, and the hash by which equal images are found."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from softclass._typing import Features, Pixels
from softclass.data.preprocessing import Preprocessing

_BLOCK_BYTES = 2**16  # of images summed at once: they stay within a second-level cache as 32-bit numbers


@dataclass(frozen=True)
class PixelPreprocessing:
    """Centre and scale each channel; the training twin of the first nodes of an image graph.

    Attributes
    ----------
    mean, std : tuple of float
        One number a channel, of all pixels of the fit part; a spread of 0 is replaced by 1.

    Examples
    --------
    >>> import numpy as np
    >>> halves = PixelPreprocessing(mean=(127.5,), std=(127.5,))
    >>> halves.apply(np.array([[[[0], [255]]]], dtype=np.uint8))
    array([[-1.,  1.]], dtype=float32)
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def apply(self, pixels: Pixels) -> Features:
        """Return features of shape (N, height * width * channels), float32, in the order height, width, channel.

        ``(float32(x) - float32(mean)) / float32(std)``: the operations of the graph in its order, so bit for bit equal.
        """
        features = pixels.astype(np.float32)  # (N, height, width, channels), a fresh C-order copy
        features -= np.array(self.mean, dtype=np.float32)
        features /= np.array(self.std, dtype=np.float32)
        return features.reshape(len(pixels), math.prod(pixels.shape[1:]))

    def to_dict(self) -> dict[str, list[float]]:
        """Return the facts that the model file keeps."""
        return {"mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_dict(cls, facts: Mapping[str, Sequence[float]]) -> PixelPreprocessing:
        """Rebuild from `to_dict`."""
        return cls(tuple(map(float, facts["mean"])), tuple(map(float, facts["std"])))


Constants = Preprocessing | PixelPreprocessing  # what a graph begins with


def fit_pixel_preprocessing(pixels: Pixels, rows: npt.NDArray[np.integer[Any]]) -> PixelPreprocessing:
    """Return the mean and standard deviation of each channel over the images `rows`.

    Values and squares are summed in integers first, so the result depends neither on the order of the rows nor on the
    rounding of long sums.

    Examples
    --------
    >>> import numpy as np
    >>> pixels = np.array([0, 2, 4, 100], dtype=np.uint8).reshape(4, 1, 1, 1)
    >>> fit_pixel_preprocessing(pixels, np.array([0, 1, 2])).mean
    (2.0,)
    """
    height, width, n_channels = pixels.shape[1:]
    size = max(1, _BLOCK_BYTES // max(1, height * width * n_channels))
    total, squares = [0] * n_channels, [0] * n_channels
    for start in range(0, len(rows), size):
        block = pixels[rows[start : start + size]]
        for channel in range(n_channels):
            values = block[..., channel].astype(np.uint32)
            total[channel] += int(values.sum(dtype=np.uint64))
            squares[channel] += int(np.square(values).sum(dtype=np.uint64))
    n = len(rows) * height * width
    moments = [_mean_and_std(n, *sums) for sums in zip(total, squares, strict=True)]
    return PixelPreprocessing(tuple(mean for mean, _ in moments), tuple(std for _, std in moments))


def _mean_and_std(n: int, total: int, squares: int) -> tuple[float, float]:
    """Mean and standard deviation of n values with these sums of themselves and of their squares."""
    if n == 0:
        return 0.0, 1.0
    variance = (n * squares - total * total) / (n * n)  # the numerator is an exact integer: nothing cancels
    return total / n, math.sqrt(variance) if variance > 0 else 1.0


def pixel_keys(pixels: Pixels) -> npt.NDArray[np.uint64]:
    """Return a hash of each image, by which equal images are found.

    Examples
    --------
    >>> import numpy as np
    >>> keys = pixel_keys(np.array([1, 2, 1], dtype=np.uint8).reshape(3, 1, 1, 1))
    >>> bool(keys[0] == keys[2]), bool(keys[0] == keys[1])
    (True, False)
    """
    rows = np.ascontiguousarray(pixels).reshape(len(pixels), math.prod(pixels.shape[1:]))
    digests = b"".join(hashlib.blake2b(row.data, digest_size=8).digest() for row in rows)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)
