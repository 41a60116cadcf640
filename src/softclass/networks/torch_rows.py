"""Rows on a PyTorch device: all of them where they fit into its memory, so that a step copies nothing to it.

What is drawn for a row is drawn on the device, from the same counters as everywhere else.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from softclass.networks.augmentation import AUGMENTATION_STREAM, ROUNDS, augmented, draws
from softclass.networks.engine import Int64, Plan, Rows
from softclass.networks.torch_device import free_memory

HELD_SHARE = 0.25  # of the free memory of a device that rows may take; maps and gradients need the rest
UNKNOWN_STREAM = 3
_LOW = 0xFFFFFFFF


class Batch(NamedTuple):
    """What comes in, and what should come out, of the rows of a step.

    Attributes
    ----------
    inputs : tuple of tensors
        Normalised images of shape (n, channels, height, width), channels last in memory; or numbers, and codes if there
        are any.
    targets : int64 tensor of shape (n,), or float32 of shape (n, n_classes)
        Class indices, or distributions.
    weight : float32 tensor of shape (n,), or None
        Weights of the rows.
    """

    inputs: tuple[Tensor, ...]
    targets: Tensor
    weight: Tensor | None


class Picked(NamedTuple):
    """Rows by number, and what is drawn for their images.

    Attributes
    ----------
    here : int64 array of shape (n,)
        Their numbers on the host.
    there : int64 tensor of shape (n,)
        Their numbers on the device.
    words : int64 tensor of shape (n, 4), or None
        Draws that a device moves images by: those of many steps cost as many operations as those of one.
    """

    here: Int64
    there: Tensor
    words: Tensor | None

    def part(self, begin: int, end: int) -> Picked:
        """Return the rows from one place up to another."""
        words = None if self.words is None else self.words[begin:end]
        return Picked(self.here[begin:end], self.there[begin:end], words)


class TorchRows:
    """
    Rows as the engine takes them, on a device.

    Parameters
    ----------
    rows : Rows
        The data, checked.
    device : torch.device
        Where batches are wanted.
    seed : int
        Key of the draws.
    keep : bool, default=True
        Whether a device may hold all rows, if they take no more than a quarter of its free memory. The CPU reads the
        arrays themselves.

    Attributes
    ----------
    rows
        As given.
    is_held : bool
        Whether all rows lie on the device; else batches are copied to it, one by one.
    """

    def __init__(self, rows: Rows, device: torch.device, seed: int, *, keep: bool = True) -> None:
        self.rows, self._device, self._seed = rows, device, seed
        self._offset, self._scale = (
            None if array is None else self._sent(array.astype(np.float32)) for array in (rows.offset, rows.scale)
        )
        arrays = {name: getattr(rows, name) for name in ("targets", "weight", "pixels", "numbers", "codes")}
        size = sum(array.nbytes for array in arrays.values() if array is not None)
        self.is_held = keep and device.type != "cpu" and size <= HELD_SHARE * free_memory(device)
        self._held = {
            name: torch.from_numpy(_aligned(array)).to(device)  # once: not worth pages that the system cannot swap
            for name, array in arrays.items()
            if array is not None and self.is_held
        }

    def pick(self, indices: Int64, plan: Plan | None = None, epoch: int = 0) -> Picked:
        """Return rows by number, with the draws of a plan for an epoch."""
        here = np.array(indices, dtype=np.int64)
        there, words = self._sent(here), None
        if plan is not None and (plan.flip or plan.shift) and self._device.type != "cpu":
            words = philox_words(self._seed, there, 1, epoch, AUGMENTATION_STREAM)
        return Picked(here, there, words)

    def batch(self, picked: Picked, plan: Plan | None = None, epoch: int = 0) -> Batch:
        """
        Return rows as a step takes them.

        Parameters
        ----------
        picked : Picked
            Which rows, picked with the same plan and epoch.
        plan : Plan, optional
            What is drawn for them; without it nothing is.
        epoch : int
            Key of the draws.

        Returns
        -------
        Batch
            On the device.
        """
        targets = self._taken("targets", picked)
        weight = None if self.rows.weight is None else self._taken("weight", picked).float()
        targets = targets.float() if targets.ndim == 2 else targets.long()
        return Batch(self.inputs(picked, plan, epoch), targets, weight)

    def inputs(self, picked: Picked, plan: Plan | None = None, epoch: int = 0) -> tuple[Tensor, ...]:
        """Return the inputs of `batch` alone."""
        if self.rows.pixels is not None:
            images = self._pixels(picked, plan, epoch).float()
            if self._offset is not None:
                images = images - self._offset
            if self._scale is not None:
                images = images * self._scale
            return (images.permute(0, 3, 1, 2),)
        if self.rows.numbers is None:
            numbers = torch.zeros((len(picked.here), 0), dtype=torch.float32, device=self._device)
        else:
            numbers = self._taken("numbers", picked).float()
        if self.rows.codes is None or not self.rows.codes.shape[1]:
            return (numbers,)
        codes = self._taken("codes", picked).long()
        if plan is not None and plan.unknown > 0:
            pieces = self.pieces(picked, codes.shape[1], epoch, UNKNOWN_STREAM)
            codes = torch.where(pieces >= threshold(plan.unknown), codes, 1)
        return numbers, codes

    def pieces(self, picked: Picked, count: int, epoch: int, stream: int) -> Tensor:
        """Return so many 16-bit draws of each row: the halves of a word, the low one first."""
        words = philox_words(self._seed, picked.there, -(-count // 8), epoch, stream)
        return torch.stack([words & 0xFFFF, words >> 16], dim=-1).reshape(len(words), -1)[:, :count]

    def _pixels(self, picked: Picked, plan: Plan | None, epoch: int) -> Tensor:
        if plan is None or not (plan.flip or plan.shift):
            return self._taken("pixels", picked)
        if picked.words is not None:
            return moved(self._taken("pixels", picked), picked.words, flip=plan.flip, shift=plan.shift)
        drawn = draws(self._seed, epoch, picked.here, flip=plan.flip, shift=plan.shift)
        return self._sent(augmented(np.asarray(self.rows.pixels)[picked.here], *drawn))

    def _taken(self, name: str, picked: Picked) -> Tensor:
        """Return rows of an array, in its type."""
        if self.is_held:
            return self._held[name].index_select(0, picked.there)
        return self._sent(getattr(self.rows, name)[picked.here])

    def _sent(self, array: npt.NDArray[Any]) -> Tensor:
        """Return an array, which is not shared with anybody, on the device; the host goes on while it is copied."""
        tensor = torch.from_numpy(_aligned(array))
        if self._device.type == "cuda":
            return tensor.pin_memory().to(self._device, non_blocking=True)
        return tensor.to(self._device)


def _aligned(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return an array as PyTorch reads one: in C order and the machine's byte order, in memory that may be written."""
    return np.require(array, array.dtype.newbyteorder("="), ["C", "W"])


def threshold(probability: float) -> int:
    """Return the 16-bit number below which a draw says "drop"."""
    return min(max(int(probability * 65536 + 0.5), 0), 65536)


def moved(pixels: Tensor, words: Tensor, *, flip: bool, shift: int) -> Tensor:
    """
    Return what `augmentation.augmented` makes of images with `augmentation.draws`, on the device of the images.

    Parameters
    ----------
    pixels : tensor of shape (n, height, width, channels)
        Images.
    words : int64 tensor of shape (n, 4)
        Draws of the augmentation, by row.
    flip : bool
        Whether half of the images are mirrored.
    shift : int
        Most pixels an image moves.

    Returns
    -------
    tensor of shape (n, height, width, channels)
        New images of the same type.
    """
    n, height, width, _ = pixels.shape
    down, right = ((words[:, place, None] * (2 * shift + 1) >> 32) - shift for place in (1, 2))
    row = (torch.arange(height, device=pixels.device) - down).clamp(0, height - 1)
    column = (torch.arange(width, device=pixels.device) - right).clamp(0, width - 1)
    if flip:
        column = torch.where(words[:, 0, None] >> 31 != 0, width - 1 - column, column)
    image = torch.arange(n, device=pixels.device)
    return pixels[image[:, None, None], row[:, :, None], column[:, None, :]]


def philox_words(seed: int, rows: Tensor, n_blocks: int, epoch: int, stream: int) -> Tensor:
    """
    Return what `augmentation.philox` draws, on the device of `rows`.

    Parameters
    ----------
    seed : int
        Key, in [0, 2**64).
    rows : int64 tensor of shape (n,)
        Second words of the counters.
    n_blocks : int
        First words are 0 to `n_blocks` - 1.
    epoch, stream : int
        Third and fourth word.

    Returns
    -------
    int64 tensor of shape (n, 4 * n_blocks)
        Numbers in [0, 2**32).
    """
    a = torch.arange(n_blocks, device=rows.device).expand(len(rows), -1)
    b = rows.unsqueeze(1).expand_as(a)
    c, d = torch.full_like(a, epoch), torch.full_like(a, stream)
    key0, key1 = seed & _LOW, seed >> 32
    for _ in range(ROUNDS):
        # Products of 64 bits: the sign is their highest bit, and the shift would copy it.
        x, y = a * 0xD2511F53, c * 0xCD9E8D57
        a, b, c, d = (y >> 32 & _LOW) ^ b ^ key0, y & _LOW, (x >> 32 & _LOW) ^ d ^ key1, x & _LOW
        key0, key1 = (key0 + 0x9E3779B9) & _LOW, (key1 + 0xBB67AE85) & _LOW
    return torch.stack([a, b, c, d], dim=-1).reshape(len(rows), -1)
