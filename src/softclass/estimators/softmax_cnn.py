"""SoftmaxCNN: images to class probabilities through convolutions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any, ClassVar

import numpy.typing as npt
from sklearn.utils._param_validation import Interval, StrOptions

from softclass.errors import OptionError, UsageError
from softclass.estimators.image_augmentation import AUGMENTATIONS, asked_augmentation, chosen_augmentation
from softclass.estimators.network_classifier import SHARED_CONSTRAINTS, AbstractNetworkClassifier
from softclass.estimators.network_fitting import allowed_threads
from softclass.estimators.pixel_encoding import PixelEncoding, fit_pixels, read_pixels
from softclass.estimators.random_state import seed_of
from softclass.networks.architecture import Architecture
from softclass.networks.engine import Plan, Rows
from softclass.networks.engine_checks import check_torch
from softclass.networks.known_architectures import IMAGE_ARCHITECTURES, image_architecture
from softclass.networks.plans import image_plan


class SoftmaxCNN(AbstractNetworkClassifier):
    r"""
    A convolutional network whose last layer is a softmax, for small images.

    Image, convolution, largest of 2 x 2, relu (once or twice), fully connected layers, softmax; trained by AdamW on the
    mean of :math:`a_i \ell_i`, where :math:`\ell_i` is the cross-entropy of image i and :math:`a_i` its sample weight
    times the weight of its class, with one cycle of the learning rate, in compiled code or, where it is deep, by
    PyTorch. The epoch of the least validation log loss after a temperature is kept.

    Parameters
    ----------
    architecture : str or Architecture, default "classic"
        "classic": 32 maps of 3 x 3, 54,410 weights for 28 x 28 grey pixels and ten classes. "two": 32 and 64 maps.
        "two-hidden": the same and a hidden layer of 128. "fast-digits": 24 maps of 5 x 5, 32 maps, a hidden layer of
        256. "deep" and "deep5", with batch normalisation, are trained by PyTorch; so is an `Architecture` that the
        native engine does not run.
    augment : "auto", "flip", "shift", sequence of them, or None, default "auto"
        What is done to images in training: half are mirrored left to right, all are moved by up to two pixels, their
        edges repeated. "auto": flips if a short trial gains by them, but none for "classic" below 12 epochs; shifts
        from 12 epochs and 20 pixels on.
    dropout : float or "auto", default "auto"
        Share of the inputs of each fully connected layer set to zero in training; by default 0 for "classic" and
        the deep ones, 0.25 for the others.
    epochs : int or "auto", default "auto"
        Passes over the images; by default 3 to 60, the fewer the more images there are; up to 100 with flips or shifts.
    batch_size : int or "auto", default "auto"
        Images a step; by default 128, and 64 below 5,000 images.
    learning_rate : float or "auto", default "auto"
        Peak of the cycle; by default 0.005 for "classic" and 0.003 for others, times the root of batch / 128.
    weight_decay : float or "auto", default "auto"
        Decoupled, of AdamW; by default 0.01, and 0.05 with batch normalisation.
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
        Most threads; -1 means all. No bit of the result depends on it, but for networks that PyTorch trains: those
        repeat for the same number.
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
    Sides up to 96, of the deep ones 224, channels up to 4. Pixels are normalised inside by the mean and standard
    deviation of each channel. The same data, parameters and seed give the same bytes, for any number of threads and any
    instruction set; of networks that PyTorch trains, on one machine with one number of threads.

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
            found = chosen
        else:
            dropout = None if self.dropout == "auto" else float(self.dropout)
            found = image_architecture(chosen, pixels, n_classes, dropout)
        if found.needs_torch:
            check_torch("this `architecture`", "SoftmaxCNN")
        return found

    def _choose_plan(self, rows: Rows, validation: Rows | None) -> Plan:
        plan = image_plan(self.architecture_, len(rows), self._chosen())
        if self.augment is None:
            return plan
        seed, threads = seed_of(self.random_state), allowed_threads(self.n_jobs)
        if isinstance(self.augment, str) and self.augment == "auto":
            flip, shift = chosen_augmentation(
                self.architecture_, rows, validation, plan.epochs, seed=seed, threads=threads
            )  # fmt: skip
        else:
            names = {self.augment} if isinstance(self.augment, str) else set(self.augment)
            if not names <= set(AUGMENTATIONS):
                rule = f"`augment` must name {' or '.join(AUGMENTATIONS)}; got {', '.join(sorted(map(str, names)))}"
                raise OptionError("SC141", rule, where="SoftmaxCNN")
            flip, shift = asked_augmentation(names, self.encoding_.input)
        return image_plan(self.architecture_, len(rows), self._chosen(), flip=flip, shift=shift)
