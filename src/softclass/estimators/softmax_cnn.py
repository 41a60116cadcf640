"""SoftmaxCNN: images to class probabilities through convolutions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from numbers import Real
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.utils._param_validation import Interval, StrOptions

from softclass.errors import OptionError, UsageError
from softclass.estimators.network_classifier import SHARED_CONSTRAINTS, AbstractNetworkClassifier
from softclass.estimators.network_fitting import allowed_threads, fit_network, seed_of
from softclass.estimators.pixel_encoding import PixelEncoding, fit_pixels, read_pixels
from softclass.networks.architecture import Architecture
from softclass.networks.engine import Plan, Rows
from softclass.networks.known_architectures import IMAGE_ARCHITECTURES, image_architecture
from softclass.networks.plans import SHIFT, SHIFT_EPOCHS, SHIFT_SIDE, Chosen, image_plan

TRIAL_ROWS, TRIAL_EPOCHS = 10_000, 2
AUGMENTATIONS = ("flip", "shift")


class SoftmaxCNN(AbstractNetworkClassifier):
    r"""
    A convolutional network whose last layer is a softmax, for small images.

    Image, convolution, largest of 2 x 2, relu (once or twice), fully connected layers, softmax; trained by AdamW on the
    mean of :math:`a_i \ell_i`, where :math:`\ell_i` is the cross-entropy of image i and :math:`a_i` its sample weight
    times the weight of its class, with one cycle of the learning rate, in compiled code. The epoch of the least
    validation log loss after a temperature is kept.

    Parameters
    ----------
    architecture : str or Architecture, default "classic"
        "classic": 32 maps of 3 x 3, 54,410 weights for 28 x 28 grey pixels and ten classes. "two": 32 and 64 maps.
        "two-hidden": the same and a hidden layer of 128. "fast-digits": 24 maps of 5 x 5, 32 maps, a hidden layer of
        256.
    augment : "auto", "flip", "shift", sequence of them, or None, default "auto"
        What is done to images in training: half are mirrored left to right, all are moved by up to two pixels, their
        edges repeated. "auto": nothing below 12 epochs; then small shifts, and flips if a short trial gains by them.
    dropout : float or "auto", default "auto"
        Share of the inputs of each fully connected layer set to zero in training; by default 0 for "classic", 0.25 for
        the others.
    epochs : int or "auto", default "auto"
        Passes over the images; by default 3 to 60, the fewer the more images there are.
    batch_size : int or "auto", default "auto"
        Images a step; by default 128, and 64 below 5,000 images.
    learning_rate : float or "auto", default "auto"
        Peak of the cycle; by default 0.005 for "classic" and 0.003 for others, times the root of batch / 128.
    weight_decay : float or "auto", default "auto"
        Decoupled, of AdamW; by default 0.01.
    class_weight : dict or "balanced", optional
        Weight of each class, by label; classes not named have 1. Weights shift the probabilities.
    validation_fraction : float, default 0.1
        Share of the images, at most 5,000, that rank the epochs and are not learned from. Where they would be fewer
        than 10 there are none, and the last epoch is kept.
    patience : int, "auto" or None, default "auto"
        Epochs without a better one after which the run ends; only for runs of at least 20 epochs. "auto": a third of
        them, all at least 5 % worse than the best. None: never.
    warm_start : bool, default False
        Whether `fit` goes on from the weights, moments and constants of the last fit.
    callbacks : sequence of callables, optional
        Each is given the row of history of every epoch; one that returns True ends the run.
    n_jobs : int, optional
        Most threads; -1 means all. No bit of the result depends on it.
    random_state : int, RandomState instance or None, default None
        Decides every draw. None means 0: fits repeat.
    verbose : int, default 0
        Whether to print a line an epoch to standard error.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
        Labels in sorted order, the order of the probabilities.
    image_shape_ : tuple of int
        Height, width and channels of the images.
    architecture_ : Architecture
        The network.
    encoding_ : PixelEncoding
        ``offset`` and ``scale`` of each channel: the network reads ``(pixel - offset) * scale``.
    plan_ : Plan
        The constants of the run.
    history_ : list of dict
        One row an epoch: training and validation log loss and accuracy, temperature, learning rate, seconds.
    best_epoch_ : int
        The epoch whose weights were kept, from 1.
    n_iter_ : int
        Epochs that were run.
    n_features_in_
        As in scikit-learn: the length of the second axis of X.

    Warns
    -----
    DataWarning
        SC852, if an epoch was begun again with a smaller rate since loss or gradient was not finite.

    See Also
    --------
    softclass.SoftmaxMLP : Hidden layers without convolutions, for tables.

    Notes
    -----
    X is uint8 or numbers, of shape (n, height, width), (n, height, width, channels), or (n, d): images of 1 x d pixels.
    Sides up to 96, channels up to 4. Pixels are normalised inside by the mean and standard deviation of each channel.
    The same data, parameters and seed give the same bytes, for any number of threads and any instruction set.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from softclass import SoftmaxCNN
    >>> digits = load_digits()
    >>> images, labels = digits.images.astype("uint8"), digits.target
    >>> model = SoftmaxCNN(epochs=12).fit(images[:1200], labels[:1200])
    >>> model.score(images[1200:], labels[1200:]) > 0.9
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "architecture": [StrOptions(set(IMAGE_ARCHITECTURES)), Architecture],
        "augment": [StrOptions({"auto", *AUGMENTATIONS}), "array-like", None],
        "dropout": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="left")],
        **SHARED_CONSTRAINTS,
    }

    image_shape_: tuple[int, ...]
    encoding_: PixelEncoding

    def __init__(
        self,
        *,
        architecture: str | Architecture = "classic",
        augment: str | Sequence[str] | None = "auto",
        dropout: float | str = "auto",
        epochs: int | str = "auto",
        batch_size: int | str = "auto",
        learning_rate: float | str = "auto",
        weight_decay: float | str = "auto",
        class_weight: dict[Any, float] | str | None = None,
        validation_fraction: float = 0.1,
        patience: int | str | None = "auto",
        warm_start: bool = False,
        callbacks: Sequence[Callable[[dict[str, Any]], object]] | None = None,
        n_jobs: int | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.architecture = architecture
        self.augment = augment
        self.dropout = dropout
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.class_weight = class_weight
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.warm_start = warm_start
        self.callbacks = callbacks
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def _read(self, X: Any, *, reset: bool) -> npt.NDArray[Any]:
        pixels = read_pixels(self, X, reset=reset)
        if reset:
            self.image_shape_ = pixels.shape[1:]
        return pixels

    def _fit_encoding(self, cells: npt.NDArray[Any]) -> PixelEncoding:
        return fit_pixels(cells)

    def _choose_architecture(self, n_rows: int, n_classes: int) -> Architecture:
        pixels, chosen = self.encoding_.input, self.architecture
        if isinstance(chosen, Architecture):
            if self.dropout != "auto":
                rule = "`dropout` has no effect where `architecture` is a whole network"
                raise UsageError("SC202", rule, where="SoftmaxCNN", hint="Leave it out")
            if chosen.input != pixels or chosen.n_classes != n_classes:
                rule = f"`architecture` must take {pixels} and have {n_classes} classes"
                came = f"got {chosen.input} and {chosen.n_classes}"
                raise OptionError("SC141", f"{rule}; {came}", where="SoftmaxCNN")
            return chosen
        return image_architecture(chosen, pixels, n_classes, None if self.dropout == "auto" else float(self.dropout))

    def _choose_plan(self, rows: Rows, validation: Rows | None) -> Plan:
        plan = image_plan(self.architecture_, len(rows), self._chosen())
        side = min(self.image_shape_[:2])
        if self.augment is None:
            return plan
        if isinstance(self.augment, str) and self.augment == "auto":
            if plan.epochs < SHIFT_EPOCHS or validation is None:
                return plan
            plan = replace(plan, shift=SHIFT if side >= SHIFT_SIDE else 0)
            return replace(plan, flip=self._gains_by_flips(rows, validation))
        names = {self.augment} if isinstance(self.augment, str) else set(self.augment)
        if not names <= set(AUGMENTATIONS):
            rule = f"`augment` must name {' or '.join(AUGMENTATIONS)}; got {', '.join(sorted(map(str, names)))}"
            raise OptionError("SC141", rule, where="SoftmaxCNN")
        return replace(plan, flip="flip" in names, shift=min(SHIFT, max(1, side // 4)) if "shift" in names else 0)

    def _gains_by_flips(self, rows: Rows, validation: Rows) -> bool:
        """Return whether two short runs of the smallest network say that mirrored images help."""
        few = _first(rows, TRIAL_ROWS)
        network = image_architecture("classic", self.encoding_.input, len(self.classes_))
        losses = []
        for flip in (False, True):
            plan = image_plan(network, len(few), Chosen(epochs=TRIAL_EPOCHS), flip=flip)
            seed, threads = seed_of(self.random_state), allowed_threads(self.n_jobs)
            found = fit_network(network, few, validation, plan, seed=seed, threads=threads, patience=None)
            losses.append(min(row["validation_log_loss_scaled"] for row in found.history))
        return bool(losses[1] < losses[0])


def _first(rows: Rows, n: int) -> Rows:
    """Return rows evenly spaced along all of them, at most so many."""
    chosen = np.linspace(0, len(rows) - 1, min(n, len(rows))).astype(np.int64)
    pixels = None if rows.pixels is None else rows.pixels[chosen]
    weight = None if rows.weight is None else rows.weight[chosen]
    return replace(rows, targets=rows.targets[chosen], weight=weight, pixels=pixels)
