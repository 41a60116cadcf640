"""Digits for the demo of the explore page: how a picture of a digit is prepared, and how one becomes many.

`fit_digit` is the twin of the function of this name in src/softclass/web/digit.js: the same whole numbers from the same
pixels, so that a drawing on the page goes through what the network learned from.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

Float64 = npt.NDArray[np.float64]
UInt8 = npt.NDArray[np.uint8]

SIDE, INK, LEVEL = 28, 12, 17  # sides of the result; the brightest pixel that is no ink, 5 % of 255; a step of grey
ENLARGED = 32  # sides of a prepared original
ROOM, UPSCALE = 1, 5  # empty pixels around an original before it is varied; factor by which it is enlarged then
BOX = (8 + 2 * ROOM) * UPSCALE
DRAWN = 40  # sides of a varied image before it is prepared: twice the ink of the result
LOCAL = 1.3 * UPSCALE  # standard deviation of what a pixel is compared with, about a pixel of the original
# Share of the surroundings that is taken off, and what must be left: from bold to fine, so that filled loops open.
CUTS = ((0.3, 0.2), (0.5, 0.2), (0.7, 0.2), (0.9, 0.15))
FEWEST_INK = 30  # pixels of a cut image; fewer mean that the cut went too far
SOFT = 0.25  # share of variations that keep the blur of the original
TURN, SHEAR, STRETCH, BEND = 0.2, 0.25, 0.3, 2.0  # standard deviations: radians, factor, log factor, pixels enlarged
THICKNESS = (1.7, 4.5)  # of strokes, where the digit is 20 pixels high


def fit_digit(grey: UInt8, side: int = SIDE) -> UInt8:
    """
    Return a picture of a digit the way the demo network takes it: light ink, 20 of 28 pixels, its mass in the middle.

    The middle grey of the frame is the background; a light one is turned over. The rest is stretched so that the
    strongest ink is 255, what lies outside of ink over 5 % is cut off, the longer side becomes 20 pixels by averages
    over areas, grey is rounded to 16 levels, and the centre of mass comes as near to (13.5, 13.5) as it can while all
    ink stays inside. All numbers are whole.

    Parameters
    ----------
    grey : uint8 array of shape (height, width)
        At least 2 x 2 pixels.
    side : int, default 28
        Sides of the result; the ink has 5/7 of them.

    Returns
    -------
    uint8 array of shape (side, side)
        Multiples of 17; all 0 for a picture without ink.

    Examples
    --------
    >>> stroke = np.zeros((40, 40), np.uint8)
    >>> stroke[5:35, 18:21] = 200
    >>> fitted = fit_digit(stroke)
    >>> rows, columns = np.flatnonzero(fitted.any(axis=1)), np.flatnonzero(fitted.any(axis=0))
    >>> (rows[0], rows[-1], columns[0], columns[-1]), bool((fitted == fit_digit(255 - stroke)).all())
    ((4, 23, 13, 14), True)
    """
    found = np.zeros((side, side), np.uint8)
    ink = _ink(grey.astype(np.int64))
    rows, columns = np.flatnonzero((ink > INK).any(axis=1)), np.flatnonzero((ink > INK).any(axis=0))
    if not len(rows):
        return found
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = ink.shape
    longer, wanted = max(height, width), _rounded(5 * side, 7)
    down, across = (max(1, _rounded(wanted * length, longer)) for length in (height, width))
    # Whole numbers below 2**53: the products of floats are exact, and fast.
    areas = (_overlap(height, down) @ ink.astype(np.float64) @ _overlap(width, across).T).astype(np.int64)
    levels = (2 * areas + LEVEL * height * width) // (2 * LEVEL * height * width)
    mass = int(levels.sum())
    if mass == 0:
        return found
    top = _place(levels.sum(axis=1), mass, side)
    left = _place(levels.sum(axis=0), mass, side)
    found[top : top + down, left : left + across] = LEVEL * levels
    return found


def _ink(grey: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Grey above the background, stretched to 255; all 0 where nothing differs from it by more than 5 %."""
    frame = np.sort(np.concatenate([grey[0], grey[-1], grey[1:-1, 0], grey[1:-1, -1]]))
    background = frame[(len(frame) - 1) // 2]
    if 2 * background > 255:
        grey, background = 255 - grey, 255 - background
    above = np.maximum(grey - background, 0)
    strongest = above.max()
    return (510 * above + strongest) // (2 * strongest) if strongest > INK else np.zeros_like(above)


def _rounded(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator)


@cache
def _overlap(length: int, cells: int) -> Float64:
    """How much of each pixel lies in each of some equal cells, in parts of a pixel of which there are `cells`."""
    cell, pixel = np.arange(cells)[:, None], np.arange(length)[None, :]
    ends = np.minimum((pixel + 1) * cells, (cell + 1) * length)
    return np.maximum(ends - np.maximum(pixel * cells, cell * length), 0).astype(np.float64)


def _place(sums: npt.NDArray[np.int64], mass: int, side: int) -> int:
    """Where the ink begins so that its centre of mass comes to the middle, or as near as it can inside."""
    moment = int((sums * np.arange(len(sums))).sum())
    return min(max(_rounded((side - 1) * mass - 2 * moment, 2 * mass), 0), side - len(sums))


def enlarged(image: Float64) -> UInt8:
    """Return an original of 8 x 8 pixels, 0 to 16, as 32 x 32 pixels of grey on a black frame of 2 more."""
    grey = Image.fromarray(np.floor(image * 255 / 16 + 0.5).astype(np.uint8))
    return np.pad(np.asarray(grey.resize((ENLARGED, ENLARGED), Image.Resampling.BICUBIC)), 2)


def variations(image: Float64, copies: int, random: np.random.Generator) -> UInt8:
    """
    Return images like the one given, as somebody else might have drawn it.

    The original of 8 x 8 pixels is a blurred count of ink. What stands out from its surroundings is taken as the
    stroke; the distance to its edge gives strokes of any thickness; turning, shearing, stretching and bending give
    other hands. Some keep the blur.

    Parameters
    ----------
    image : float64 array of shape (8, 8)
        0 to 16.
    copies : int
        How many.
    random : numpy.random.Generator
        Where the draws come from.

    Returns
    -------
    uint8 array of shape (copies, 28, 28)
        As from `fit_digit`.
    """
    wide = Image.fromarray(np.pad(np.floor(image * 255 / 16 + 0.5).astype(np.uint8), ROOM))
    grey = np.asarray(wide.resize((BOX, BOX), Image.Resampling.BICUBIC)).astype(np.float64) / 255
    shapes = [_shape(grey, *cut) for cut in CUTS]
    return np.stack([_variation(grey, shapes, random) for _ in range(copies)])


def _shape(grey: Float64, share: float, left: float) -> tuple[Float64, float, int]:
    """Return the signed distance to the edge of the stroke, half of its thickness, and the height of the digit."""
    stroke = grey - share * ndimage.gaussian_filter(grey, LOCAL) > left
    if stroke.sum() < FEWEST_INK:
        stroke = grey > 0.4
    distance = ndimage.distance_transform_edt(stroke) - ndimage.distance_transform_edt(~stroke)
    ridge = (distance == ndimage.maximum_filter(distance, 3)) & stroke
    rows = np.flatnonzero(stroke.any(axis=1))
    return distance, float(np.median(distance[ridge])), int(rows[-1] - rows[0] + 1)


def _variation(grey: Float64, shapes: list[tuple[Float64, float, int]], random: np.random.Generator) -> UInt8:
    if random.random() < SOFT:
        drawn = 1.6 * _moved(grey, random) - 0.3
    else:
        distance, half, height = shapes[random.integers(len(shapes))]
        wanted = random.uniform(*THICKNESS) / 40 * height
        drawn = _moved(distance + wanted - half, random) * DRAWN / (1.1 * BOX) + 0.5
    return fit_digit(np.floor(np.clip(drawn, 0, 1) * 255 + 0.5).astype(np.uint8))


def _moved(field: Float64, random: np.random.Generator) -> Float64:
    """Return the field turned, sheared, stretched and bent, read at 40 x 40 places."""
    angle, shear = random.normal(0, TURN), random.normal(0, SHEAR)
    stretch = np.exp(random.normal(0, STRETCH, 2))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    move = turn @ np.array([[stretch[0], shear], [0, stretch[1]]]) * 1.1 * BOX / DRAWN
    smooth = _smooth()
    bend = BEND * (smooth @ random.normal(0, 1, (2, smooth.shape[1], smooth.shape[1])) @ smooth.T)
    across, down = np.meshgrid(*2 * [np.arange(DRAWN) + 0.5 - DRAWN / 2])
    middle = BOX / 2 - 0.5
    x = move[0, 0] * across + move[0, 1] * down + bend[0] + middle
    y = move[1, 0] * across + move[1, 1] * down + bend[1] + middle
    read: Any = ndimage.map_coordinates(field, [y, x], order=1, mode="nearest")
    return np.asarray(read, dtype=np.float64)


@cache
def _smooth() -> Float64:
    """Cubic interpolation from 5 nodes to the 40 places."""
    return np.asarray(ndimage.zoom(np.eye(5), (DRAWN / 5, 1), order=3), dtype=np.float64)
