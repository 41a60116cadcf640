"""Images as a network reads them: one array of pixels, and the mean and spread of each channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import validate_data

from softclass.data.pixels import fit_pixel_preprocessing
from softclass.networks.engine import Float32, Rows
from softclass.networks.layers import Pixels

Array = npt.NDArray[Any]


def read_pixels(estimator: Any, X: Any, *, reset: bool) -> Array:
    """
    Return images as an array with four axes.

    Parameters
    ----------
    estimator : estimator
        Told the number of columns, or rows of pixels, if `reset`, else asked for it.
    X : array of shape (n, height, width), (n, height, width, channels), or (n, d): images of 1 x d pixels
        uint8, or numbers, which become float32.
    reset : bool
        Whether these are the images of a fit.

    Returns
    -------
    uint8 or float32 array of shape (n, height, width, channels)
        Contiguous.

    Raises
    ------
    ValueError
        For what scikit-learn refuses, NaN for example, and for images of another shape than those of the fit.
    """
    X = validate_data(estimator, X, dtype=None, allow_nd=True, reset=reset)
    if X.dtype != np.uint8:
        X = X.astype(np.float32)
    if not 2 <= X.ndim <= 4:
        raise ValueError(f"X must have 2, 3 or 4 axes; got {X.ndim}")
    pixels = X[:, None, :, None] if X.ndim == 2 else X[..., None] if X.ndim == 3 else X
    if pixels.dtype != np.uint8 and not np.isfinite(pixels).all():
        raise ValueError("Input X contains infinity or a value too large for dtype('float32').")
    if not reset and pixels.shape[1:] != estimator.image_shape_:
        raise ValueError(f"X must hold images of shape {estimator.image_shape_}; got {pixels.shape[1:]}")
    return np.ascontiguousarray(pixels)


@dataclass(frozen=True, eq=False)
class PixelEncoding:
    """
    Constants found in the images of a fit.

    Attributes
    ----------
    input : Pixels
        What the network is told of its input.
    offset, scale : float32 arrays of shape (channels,)
        The network reads ``(pixel - offset) * scale``.
    """

    input: Pixels
    offset: Float32
    scale: Float32

    def apply(self, cells: Array, targets: npt.NDArray[np.int32], weight: Float32 | None) -> Rows:
        """
        Return rows for an engine.

        Parameters
        ----------
        cells : array of shape (n, height, width, channels)
            As from `read_pixels`.
        targets : int32 array of shape (n,)
            Classes.
        weight : float32 array of shape (n,), or None
            Weights.

        Returns
        -------
        Rows
            Without a copy of the images.
        """
        return Rows(targets=targets, weight=weight, pixels=cells, offset=self.offset, scale=self.scale)


def fit_pixels(pixels: Array) -> PixelEncoding:
    """
    Find mean and standard deviation of each channel.

    Parameters
    ----------
    pixels : uint8 or float32 array of shape (n, height, width, channels)
        Images of the fit.

    Returns
    -------
    PixelEncoding
        Of bytes, from exact integer sums. A constant channel has scale 1.

    Examples
    --------
    >>> fitted = fit_pixels(np.array([0, 255], np.uint8).reshape(1, 1, 2, 1))
    >>> fitted.offset.tolist(), round(float(1 / fitted.scale[0]), 3)
    ([127.5], 127.5)
    """
    _, height, width, channels = pixels.shape
    if pixels.dtype == np.uint8:
        bytes_of_fit = fit_pixel_preprocessing(pixels, np.arange(len(pixels)))
        mean, spread = np.array(bytes_of_fit.mean), np.array(bytes_of_fit.std)
    else:
        flat = pixels.reshape(-1, channels)
        mean = flat.mean(axis=0, dtype=np.float64)
        spread = flat.std(axis=0, dtype=np.float64)
    scale = np.divide(1.0, spread, out=np.ones(channels), where=spread > 0)
    return PixelEncoding(Pixels(height, width, channels), mean.astype(np.float32), scale.astype(np.float32))
