"""Draws that training makes, by place: the order of an epoch, which images are mirrored and moved.

Philox4x32-10 [1]_ turns a counter and a key into four words. The counter says what the words are for (block, row,
epoch, stream) and the key is the seed, so no draw depends on batches, threads or what was drawn before. The native
engine makes the same numbers.

References
----------
.. [1] J. K. Salmon, M. A. Moraes, R. O. Dror and D. E. Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint32]
ROUNDS = 10
ORDER_STREAM, AUGMENTATION_STREAM = 1, 2
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


def philox(seed: int, block: npt.ArrayLike, row: npt.ArrayLike, epoch: int, stream: int) -> Words:
    """
    Return the four words of each counter.

    Parameters
    ----------
    seed : int
        Key, in [0, 2**64).
    block, row : int arrays that broadcast
        First and second word of the counter.
    epoch, stream : int
        Third and fourth word.

    Returns
    -------
    uint32 array of shape (..., 4)
        Evenly distributed bits.

    Examples
    --------
    >>> [hex(word) for word in philox(0, 0, 0, 0, 0)]
    ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    a, b = np.broadcast_arrays(np.asarray(block, dtype=np.uint64), np.asarray(row, dtype=np.uint64))
    c, d = np.full_like(a, epoch), np.full_like(a, stream)
    key0, key1 = seed & 0xFFFFFFFF, seed >> 32
    for _ in range(ROUNDS):
        x, y = a * np.uint64(0xD2511F53), c * np.uint64(0xCD9E8D57)
        a, b, c, d = (y >> _HALF) ^ b ^ np.uint64(key0), y & _LOW, (x >> _HALF) ^ d ^ np.uint64(key1), x & _LOW
        key0, key1 = (key0 + 0x9E3779B9) & 0xFFFFFFFF, (key1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack([a, b, c, d], axis=-1).astype(np.uint32)


def permutation(seed: int, epoch: int, n: int) -> npt.NDArray[np.int64]:
    """
    Return the order of the rows in an epoch: a shuffle from the last place down (Fisher and Yates).

    The place i swaps with one of the places 0 to i: the upper half of ``word * (i + 1)``. A word whose lower half lies
    below ``2**32 % (i + 1)`` is skipped, which makes all places equally likely [1]_.

    Parameters
    ----------
    seed, epoch : int
        Key of the draws.
    n : int
        Rows, below 2**32.

    Returns
    -------
    int64 array of shape (n,)
        Each number from 0 to n - 1 once.

    References
    ----------
    .. [1] D. Lemire, "Fast random integer generation in an interval", ACM TOMACS 29, 2019.

    Examples
    --------
    >>> permutation(0, 0, 8)
    array([7, 2, 6, 4, 3, 5, 0, 1])
    """
    if n < 2:
        return np.arange(n)
    sizes = np.arange(n, 1, -1, dtype=np.uint64)
    words = philox(seed, np.arange(-(-len(sizes) // 4)), 0, epoch, ORDER_STREAM).ravel()
    used = 0
    partners = np.empty(len(sizes), dtype=np.int64)
    done = 0
    while done < len(sizes):
        if len(words) - used < len(sizes) - done:
            words = np.concatenate([words, philox(seed, len(words) // 4, 0, epoch, ORDER_STREAM)])
        product = words[used : used + len(sizes) - done].astype(np.uint64) * sizes[done:]
        skipped = (product & _LOW) < (np.uint64(2**32) % sizes[done:])
        good = int(skipped.argmax()) if skipped.any() else len(skipped)
        partners[done : done + good] = product[:good] >> _HALF
        done, used = done + good, used + good + 1
    order = list(range(n))
    for i, j in zip(range(n - 1, 0, -1), partners.tolist(), strict=True):
        order[i], order[j] = order[j], order[i]
    return np.array(order, dtype=np.int64)


def draws(
    seed: int, epoch: int, rows: npt.NDArray[np.int64], *, flip: bool, shift: int
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """
    Return what happens to images in an epoch.

    Parameters
    ----------
    seed, epoch : int
        Key of the draws.
    rows : int64 array of shape (n,)
        Numbers of the rows.
    flip : bool
        Whether half of the images are mirrored.
    shift : int
        Most pixels an image moves.

    Returns
    -------
    flipped, down, right : arrays of shape (n,)
        Whether an image is mirrored left to right, and by how many pixels it moves then.
    """
    words = philox(seed, 0, rows, epoch, AUGMENTATION_STREAM).astype(np.uint64)
    places = np.uint64(2 * shift + 1)
    down, right = ((words[:, place] * places >> _HALF).astype(np.int64) - shift for place in (1, 2))
    flipped = (words[:, 0] >> np.uint64(31) != 0) & flip
    return flipped, down, right


def augmented(
    pixels: npt.NDArray[Any],
    flipped: npt.NDArray[np.bool_],
    down: npt.NDArray[np.int64],
    right: npt.NDArray[np.int64],
) -> npt.NDArray[Any]:
    """
    Return images mirrored and then moved, their edges repeated into the room that opens.

    Parameters
    ----------
    pixels : array of shape (n, height, width, channels)
        Images.
    flipped, down, right : arrays of shape (n,)
        As from `draws`.

    Returns
    -------
    array of shape (n, height, width, channels)
        New images of the same dtype.
    """
    n, height, width, _ = pixels.shape
    row = np.clip(np.arange(height)[None, :] - down[:, None], 0, height - 1)
    column = np.clip(np.arange(width)[None, :] - right[:, None], 0, width - 1)
    column = np.where(flipped[:, None], width - 1 - column, column)
    moved: npt.NDArray[Any] = pixels[np.arange(n)[:, None, None], row[:, :, None], column[:, None, :]]
    return moved
