"""Which images are mirrored and moved in training: what was asked for, or what a short trial says."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import replace

import numpy as np

from softclass.estimators.network_fitting import Watch, fit_network
from softclass.networks.architecture import Architecture
from softclass.networks.augmentation import permutation
from softclass.networks.engine import Rows
from softclass.networks.grammar import LARGEST_SIDE
from softclass.networks.known_architectures import image_architecture
from softclass.networks.layers import Pixels
from softclass.networks.plans import SHIFT, SHIFT_EPOCHS, SHIFT_SIDE, Chosen, image_plan

AUGMENTATIONS = ("flip", "shift")
TRIAL_ROWS, FEWEST_TRIAL_EPOCHS = 20_000, 2  # rows of a trial in all, however few there are


def asked_augmentation(names: Collection[str], pixels: Pixels) -> tuple[bool, int]:
    """
    Return what names mean for images of a size.

    Parameters
    ----------
    names : collection of str
        Of "flip" and "shift".
    pixels : Pixels
        Size of the images.

    Returns
    -------
    flip : bool
        Whether half of the images are mirrored.
    shift : int
        Pixels that they are moved by at most: 2, fewer where a side has fewer than 8.

    Examples
    --------
    >>> asked_augmentation(("shift",), Pixels(6, 28))
    (False, 1)
    """
    side = min(pixels.height, pixels.width)
    return "flip" in names, min(SHIFT, max(1, side // 4)) if "shift" in names else 0


def chosen_augmentation(
    architecture: Architecture,
    rows: Rows,
    validation: Rows | None,
    epochs: int,
    *,
    seed: int,
    threads: int,
    device: str = "cpu",
    should_stop: Callable[[], bool] | None = None,
) -> tuple[bool, int]:
    """
    Return what seems to help a network.

    Parameters
    ----------
    architecture : Architecture
        The network.
    rows, validation : Rows
        Images to learn from, and images to judge by.
    epochs : int
        Passes that are planned.
    seed, threads, device
        As in `fit_network`.
    should_stop : callable () -> bool, optional
        Asked several times a second; True ends the runs of the small network, and what is not known to help is left.

    Returns
    -------
    flip : bool
        Whether half of the images are mirrored: clothes yes, digits no, if two runs of a small network say so.
    shift : int
        Pixels that they are moved by at most. Runs below 12 epochs and images below 20 pixels lose by it.
    """
    pixels = architecture.input
    if not isinstance(pixels, Pixels) or validation is None:
        return False, 0
    is_long = epochs >= SHIFT_EPOCHS
    if len(architecture.stages) < 2 and not is_long:
        return False, 0  # a short run of a small network learns nothing by heart
    is_wide = min(pixels.height, pixels.width) >= SHIFT_SIDE
    flip = _gains_by_flips(pixels, architecture.n_classes, rows, validation, seed, threads, device, should_stop)
    return flip, SHIFT if is_long and is_wide else 0


def _gains_by_flips(
    pixels: Pixels, n_classes: int, rows: Rows, validation: Rows, seed: int, threads: int, device: str,
    should_stop: Callable[[], bool] | None,
) -> bool:  # fmt: skip
    """Return whether mirrored images lower the best held-out log loss of the smallest network."""
    few, validation = (_thinned(part, pixels) for part in (_some(rows, seed), validation))
    step = _step(pixels)
    small = Pixels(-(-pixels.height // step), -(-pixels.width // step), pixels.channels)
    network = image_architecture("classic", small, n_classes)
    epochs = max(FEWEST_TRIAL_EPOCHS, math.ceil(TRIAL_ROWS / len(few)))
    watch = Watch(should_stop=should_stop)
    losses = []
    for flip in (False, True):
        plan = image_plan(network, len(few), Chosen(epochs=epochs), flip=flip)
        found = fit_network(
            network, few, validation, plan, seed=seed, threads=threads, patience=None, watch=watch, device=device
        )
        if found.reason == "stopped":
            return False
        losses.append(min(row["validation_log_loss_scaled"] for row in found.history))
    return bool(losses[1] < losses[0])


def _thinned(rows: Rows, pixels: Pixels) -> Rows:
    """Return rows whose images the native engine takes: of larger ones every second or third pixel both ways."""
    step = _step(pixels)
    if step == 1 or rows.pixels is None:
        return rows
    return replace(rows, pixels=np.ascontiguousarray(rows.pixels[:, ::step, ::step]))


def _step(pixels: Pixels) -> int:
    return -(-max(pixels.height, pixels.width) // LARGEST_SIDE)


def _some(rows: Rows, seed: int) -> Rows:
    """Return rows drawn from all, at most so many as a trial reads."""
    if len(rows) <= TRIAL_ROWS or rows.pixels is None:
        return rows
    chosen = permutation(seed, 0, len(rows))[:TRIAL_ROWS]
    weight = None if rows.weight is None else rows.weight[chosen]
    return replace(rows, targets=rows.targets[chosen], weight=weight, pixels=rows.pixels[chosen])
