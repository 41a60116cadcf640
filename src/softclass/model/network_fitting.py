"""From examples to a fitted network: its rows, its architecture, its plan within a budget, the run, its layers."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from softclass.data.pixels import Constants, PixelPreprocessing
from softclass.data.preprocessing import Preprocessing, smooth_preprocessing
from softclass.data.split import SplitOptions, split
from softclass.errors import Notes
from softclass.estimators.image_augmentation import asked_augmentation, chosen_augmentation
from softclass.estimators.network_fitting import Watch, engine_for, fit_network, network_of
from softclass.estimators.row_weights import row_weights
from softclass.model.encoded import features_of
from softclass.model.examples import Examples, Inputs, chosen_inputs, picked, take_inputs
from softclass.model.layers import network_places
from softclass.networks.architecture import Architecture
from softclass.networks.augmentation import permutation
from softclass.networks.engine import Plan, Rows
from softclass.networks.fitted_layers import FittedLayer, fitted_layers, n_fitted_parameters
from softclass.networks.known_architectures import image_architecture, realmlp, table_architecture
from softclass.networks.layers import Columns, Pixels
from softclass.networks.plans import (
    Chosen,
    image_plan,
    table_dropout,
    table_plan,
    table_widths,
)
from softclass.networks.training import FittedNetwork, patience_of

Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]

MOST_VALIDATION_ROWS = 5000
BLOCK_ROWS = 8192
CANDIDATES = ("two-hidden", "two", "classic")  # the largest first
LARGEST_HIDDEN_SIDE = 40  # beyond it a hidden layer only learns by heart
MANY_CLASSES, MANY_PARAMETERS = 64, 1_000_000  # from which on the size of a last layer decides between architectures
ENOUGH_EPOCHS = 6  # a larger network with fewer epochs loses to a smaller one
TIMED_STEPS = 3
TRIAL_SHARE = 0.2  # of a budget that the trial of mirrored images may take
SPENT_SHARE = 0.9  # of a budget that is planned; the rest is for what comes around it


@dataclass(frozen=True)
class NetworkOptions:
    """What was asked of the network; None and "auto" leave it to the data.

    Attributes
    ----------
    architecture : str
        Of images, a name that `image_architecture` knows; of a table "realmlp".
    hidden : tuple of int or None
        Hidden layers of a table.
    augment : tuple of str or None
        Of "flip" and "shift"; empty for none.
    validation : float
        Share of the fit rows by which epochs are judged.
    epochs, batch, peak_rate, decay : see `Chosen`
        Constants of the run.
    patience : int or None
        Epochs without a better one after which the run ends.
    budget : float or None
        Seconds that the run is planned for.
    device : str
        Where the steps are computed, as in `engine_for`.
    """

    architecture: str = "auto"
    hidden: tuple[int, ...] | None = None
    augment: tuple[str, ...] | None = None
    validation: float = 0.1
    epochs: int | None = None
    batch: int | None = None
    peak_rate: float | None = None
    decay: float | None = None
    patience: int | None = None
    budget: float | None = None
    device: str = "cpu"

    @property
    def chosen(self) -> Chosen:
        """The constants of the run."""
        return Chosen(self.epochs, self.batch, self.peak_rate, self.decay)


@dataclass(frozen=True, eq=False)
class FittedNet:
    """A network, and how it was found.

    Attributes
    ----------
    layers : tuple of fitted layers
        As the model file holds them.
    preprocessing : Preprocessing or PixelPreprocessing
        What they take features from.
    architecture : Architecture
        What was trained.
    name : str
        What it is called.
    plan : Plan
        Constants of the run.
    network : FittedNetwork
        Best epoch, history, restarts.
    validation : int
        Rows that judged the epochs.
    seconds : float
        Wall time.
    """

    layers: tuple[FittedLayer, ...]
    preprocessing: Constants
    architecture: Architecture
    name: str
    plan: Plan
    network: FittedNetwork
    validation: int
    seconds: float

    @property
    def parts(self) -> tuple[Constants, tuple[FittedLayer, ...]]:
        """Preprocessing and layers of the graph."""
        return self.preprocessing, self.layers

    @property
    def kind(self) -> str:
        """What the model file calls the classifier."""
        return str(self.resolved()["model"])

    @property
    def history(self) -> tuple[dict[str, Any], ...]:
        """One entry an epoch."""
        return self.network.history

    path: None = None  # there are no other strengths of a penalty to chart

    def curves(self) -> dict[str, list[float | None]]:
        """Loss of each epoch: on the rows it learned from, and on the others after the best single temperature."""
        return {
            "learned_from": [row["train_loss"] for row in self.history],
            "held_out": [row["validation_log_loss_scaled"] for row in self.history],
        }

    def logits(self, inputs: Inputs) -> npt.NDArray[np.float32]:
        """Logits of some rows from the engine itself."""
        return self.logits_of_rows(_rows_of(self.preprocessing, inputs))

    def logits_of_rows(self, rows: Rows) -> npt.NDArray[np.float32]:
        """Logits of rows that are encoded already."""
        return network_of(self.architecture, self.network.parameters, 0).logits(rows)

    def resolved(self) -> dict[str, Any]:
        """What ``config.toml`` says in the place of "auto"."""
        found = resolved_options(self.name, self.architecture, self.plan)
        hidden, augment = found["hidden"], found["augment"]
        return {
            "model": "cnn" if augment is not None else "mlp",
            "architecture": found["architecture"],
            "hidden": None if hidden is None else ",".join(map(str, hidden)),
            "augment": None if augment is None else ",".join(augment) or "none",
            "epochs": found["epochs"],
            "batch_size": found["batch"],
            "lr": found["peak_rate"],
            "weight_decay": found["decay"],
        }

    def tried_by_name(self) -> None:
        """There is no C."""

    def stored(self) -> dict[str, Any]:
        """What the model file says about the fit: nothing that depends on the clock."""
        return {
            "architecture": self.architecture.to_dict(),
            "batch": self.plan.batch,
            "best_epoch": self.network.best_epoch,
            "epochs": self.plan.epochs,
            "name": self.name,
            "peak_rate": self.plan.peak_rate,
            "restarts": len(self.network.restarts),
            "validation": self.validation,
        }

    def facts(self) -> dict[str, Any]:
        """What the terminal and ``metrics.json`` say about the fit."""
        best = next((row for row in self.history if row["epoch"] == self.network.best_epoch), {})
        return {
            **{name: fact for name, fact in self.stored().items() if name != "architecture"},
            "parameters": self.architecture.n_parameters,
            "reason": self.network.reason,
            "seconds": self.seconds,
            "validation_accuracy": best.get("validation_accuracy"),
            "validation_log_loss": best.get("validation_log_loss"),
            "validation_log_loss_scaled": best.get("validation_log_loss_scaled"),
        }


@dataclass(frozen=True, eq=False)
class NetworkRows:
    """Rows as an engine reads them, those to learn from and those to judge by.

    Attributes
    ----------
    fit, validation : Rows
        The second is None where there are too few rows.
    kept : int64 array
        Of the rows that were given, those in `validation`.
    """

    fit: Rows
    validation: Rows | None
    kept: Int64


@dataclass(frozen=True)
class NetworkFitting:
    """
    How networks are fitted in this run.

    Attributes
    ----------
    options : NetworkOptions
        What was asked.
    class_weight : mapping of class number to weight, "balanced" or None
        Weights of the classes in the loss.
    seed : int
        Decides every draw.
    stratify : bool
        Whether the validation rows hold the classes in equal shares.
    deadline : float or None
        Value of ``time.monotonic()`` past which the best so far is kept.
    threads : int
        Most threads; 0: the kernels decide. No bit depends on it, but where PyTorch trains.
    say : callable (event, facts)
        Told what happens.
    checkpoints : Path or None
        Folder for states to go on from.
    resume : bool
        Whether to go on from the newest of them.
    keep_plan : callable (options) or None
        Told the network and the plan, before the run.
    interrupted : callable () -> bool
        Asked several times a second whether to save and stop.
    """

    options: NetworkOptions
    class_weight: dict[int, float] | str | None
    seed: int
    stratify: bool
    deadline: float | None
    threads: int
    say: Callable[[str, dict[str, Any]], None]
    checkpoints: Path | None = None
    resume: bool = False
    keep_plan: Callable[[dict[str, Any]], None] | None = None
    interrupted: Callable[[], bool] = lambda: False

    def quiet(self) -> NetworkFitting:
        """Return the same without words to the user and checkpoints, for the fit of a fold."""
        return replace(self, say=lambda event, facts: None, checkpoints=None, resume=False, keep_plan=None)

    def preprocessing(self, examples: Examples, rows: Int64, plain: Constants) -> Constants:
        """Return what networks read: numbers of a table are bounded, so that extreme ones do not decide."""
        if isinstance(plain, PixelPreprocessing) or isinstance(examples.inputs, np.ndarray):
            return plain
        return smooth_preprocessing(examples.inputs, plain, rows)

    def rows(self, examples: Examples, rows: Int64, preprocessing: Constants) -> NetworkRows:
        """Cut the fit rows into those to learn from and those to judge by, and encode both."""
        judged = self._validation_rows(examples, rows)
        inside = rows[~np.isin(rows, judged)]
        weight = None
        if examples.weights is not None or self.class_weight is not None:
            targets, own = examples.targets[inside], picked(examples.weights, inside)
            weights = row_weights(self.class_weight, np.arange(len(examples.classes)), targets, targets, own)
            inside, weights = inside[weights > 0], weights[weights > 0]
            weight = (weights / weights.mean()).astype(np.float32)
        own = None if examples.weights is None else examples.weights[judged].astype(np.float32)
        validation = _encode(examples, judged, preprocessing, own) if len(judged) else None
        return NetworkRows(_encode(examples, inside, preprocessing, weight), validation, judged)

    def fit(self, examples: Examples, rows: Int64, preprocessing: Constants, notes: Notes) -> FittedNet:
        """Fit a network on some rows; `preprocessing` is that of softmax regression."""
        own = self.preprocessing(examples, rows, preprocessing)
        return self.fit_rows(self.rows(examples, rows, own), examples, own, notes)

    def fit_rows(self, cut: NetworkRows, examples: Examples, preprocessing: Constants, notes: Notes) -> FittedNet:
        """Fit a network on rows that `rows` has cut."""
        started = time.monotonic()
        self.say("phase", {"name": "planning", "done": 0, "total": None})
        n_classes = len(examples.classes)
        name, architecture, plan = self._plan(cut, preprocessing, examples, n_classes)
        n_features = preprocessing.n_features if isinstance(preprocessing, Preprocessing) else 0
        self.say(
            "network",
            {"name": name, "parameters": architecture.n_parameters,
             "in_file": n_fitted_parameters(architecture, n_features), "epochs": plan.epochs,
             "batch": plan.batch, "rows": plan.n_rows, "validation": len(cut.kept)},
        )  # fmt: skip
        if self.keep_plan is not None:
            self.keep_plan(resolved_options(name, architecture, plan))
        network = self._run(architecture, cut, plan)
        for restart in network.restarts:
            notes.add(
                "SC852",
                f"epoch {restart.epoch} met NaN or infinity and began again with a smaller rate",
                hint="Pass a smaller --lr",
            )
        if network.reason == "stopped" and not self.interrupted():
            notes.add("SC843", "the time limit ended the fit; the best weights so far are kept",
                      hint="Raise --time-limit")  # fmt: skip
        layers = layers_of(architecture, network.parameters, preprocessing)
        seconds = time.monotonic() - started
        return FittedNet(layers, preprocessing, architecture, name, plan, network, len(cut.kept), seconds)

    def _run(self, architecture: Architecture, cut: NetworkRows, plan: Plan) -> FittedNetwork:
        patience = self.options.patience or patience_of(plan.epochs)

        def on_epoch(row: dict[str, Any]) -> None:
            self.say("epoch", {**row, "epochs": plan.epochs})

        def on_steps(step: int, steps: int) -> None:
            self.say("steps", {"done": step, "total": steps})

        watch = Watch(on_epoch, on_steps, self._is_over, self.checkpoints, self.resume)
        return fit_network(
            architecture, cut.fit, cut.validation, plan, seed=self.seed, threads=self.threads, patience=patience,
            watch=watch, device=self.options.device,
        )  # fmt: skip

    def _is_over(self) -> bool:
        return self.interrupted() or (self.deadline is not None and time.monotonic() >= self.deadline)

    def _validation_rows(self, examples: Examples, rows: Int64) -> Int64:
        """Rows by which epochs are judged: a share of the fit rows, drawn as the other parts are."""
        share = min(self.options.validation, MOST_VALIDATION_ROWS / max(1, len(rows)))
        if share * len(rows) < 1:
            return np.zeros(0, dtype=np.int64)
        parts = split(
            examples.targets[rows], len(examples.classes),
            SplitOptions(test=share, calibration=0.0, stratify=self.stratify, seed=self.seed), Notes(),
            class_names=examples.class_names(),
            groups=picked(examples.groups, rows), times=picked(examples.times, rows),
            content_keys=picked(examples.content_keys, rows) if examples.images is not None else None,
        )  # fmt: skip
        return np.asarray(rows[parts.test], dtype=np.int64)

    def _plan(
        self, cut: NetworkRows, preprocessing: Constants, examples: Examples, n_classes: int
    ) -> tuple[str, Architecture, Plan]:
        """Return name, architecture and constants, all of them within the budget, to which planning counts."""
        began = time.monotonic()
        if isinstance(preprocessing, Preprocessing):
            return self._table_plan(cut, preprocessing, n_classes, began)
        assert examples.spec is not None  # noqa: S101 - pixels have a size
        pixels = Pixels(examples.spec.height, examples.spec.width, examples.spec.channels)
        names = self._names(pixels, n_classes)
        n_rows = len(cut.fit)
        for name in names:
            architecture = image_architecture(name, pixels, n_classes)
            wanted = image_plan(architecture, n_rows, self.options.chosen)
            plan = self._within_budget(architecture, cut.fit, wanted, began)
            if plan.epochs >= min(ENOUGH_EPOCHS, wanted.epochs) or name == names[-1]:
                break
        return name, architecture, self._augmented(wanted, plan.epochs, architecture, cut, began)

    def _names(self, pixels: Pixels, n_classes: int) -> Sequence[str]:
        """Return the architectures to choose from, the largest first."""
        if self.options.architecture != "auto":
            return (self.options.architecture,)
        if self.options.budget is None and n_classes < MANY_CLASSES:
            return CANDIDATES[-1:]
        is_small = max(pixels.height, pixels.width) <= LARGEST_HIDDEN_SIDE
        names = CANDIDATES if is_small or n_classes >= MANY_CLASSES else CANDIDATES[1:]
        # Without a hidden layer the last one grows with classes times pixels.
        sizes = {name: image_architecture(name, pixels, n_classes).n_parameters for name in names}
        most = max(MANY_PARAMETERS, 2 * min(sizes.values()))
        kept = [name for name in names if sizes[name] <= most]
        return kept if self.options.budget is not None else kept[-1:]

    def _table_plan(
        self, cut: NetworkRows, preprocessing: Preprocessing, n_classes: int, began: float
    ) -> tuple[str, Architecture, Plan]:
        places = network_places(preprocessing)
        columns = Columns(len(places.numbers), places.codes)
        n_rows = len(cut.fit)
        if self.options.architecture == "realmlp":
            name, architecture = "realmlp", realmlp(columns, n_classes)
        else:
            widths = self.options.hidden or table_widths(n_rows)
            name = "×".join(map(str, widths))
            architecture = table_architecture(columns, n_classes, widths)
            dropout = table_dropout(n_rows, architecture.n_parameters)
            if dropout:
                architecture = table_architecture(columns, n_classes, widths, dropout=dropout)
        plan = table_plan(architecture, n_rows, self.options.chosen)
        return name, architecture, self._within_budget(architecture, cut.fit, plan, began)

    def _within_budget(self, architecture: Architecture, rows: Rows, plan: Plan, began: float) -> Plan:
        """Return the plan with as many epochs as are left of a budget that began then: some steps are timed for it."""
        if self.options.budget is None or self.options.epochs is not None:
            return plan
        engine = engine_for(architecture, self.seed, self.threads, self.options.device)
        engine.initialise()
        order = permutation(self.seed, 0, plan.n_rows)
        last = min(1 + TIMED_STEPS, plan.steps_per_epoch)
        warm = engine.run(rows, order, 0, 1, plan).last_step
        timed_from = time.monotonic()
        done = warm
        while done < last:
            done = engine.run(rows, order, done, last, plan).last_step
        now = time.monotonic()
        an_epoch = (now - timed_from) / max(1, done - warm) * plan.steps_per_epoch
        affordable = int((SPENT_SHARE * self.options.budget - (now - began)) / max(an_epoch, 1e-9))
        return replace(plan, epochs=max(1, min(plan.epochs, affordable)))

    def _augmented(self, wanted: Plan, epochs: int, architecture: Architecture, cut: NetworkRows, began: float) -> Plan:
        """Return the plan with mirrored and moved images, where they were asked for or seem to help.

        `wanted` is the plan without them and without a budget, of which there was time for so many `epochs`.
        """
        pixels, asked = architecture.input, self.options.augment
        assert isinstance(pixels, Pixels)  # noqa: S101 - tables are neither mirrored nor moved
        budget = self.options.budget
        until = math.inf if budget is None else time.monotonic() + TRIAL_SHARE * budget

        def is_over() -> bool:
            return self._is_over() or time.monotonic() >= until

        if asked is not None:
            flip, shift = asked_augmentation(asked, pixels)
        else:
            flip, shift = chosen_augmentation(
                architecture, cut.fit, cut.validation, epochs,
                seed=self.seed, threads=self.threads, device=self.options.device, should_stop=is_over,
            )  # fmt: skip
        if flip or shift:
            # What is mirrored and moved is learned by heart later, so its run is longer.
            wanted = image_plan(architecture, wanted.n_rows, self.options.chosen, flip=flip, shift=shift)
        return self._within_budget(architecture, cut.fit, wanted, began)


def resolved_options(name: str, architecture: Architecture, plan: Plan) -> dict[str, Any]:
    """Return the fields of `NetworkOptions` that give this network and plan again, whatever the clock says."""
    is_image = isinstance(architecture.input, Pixels)
    kinds = [kind for kind, used in (("flip", plan.flip), ("shift", plan.shift > 0)) if used]
    by_width = not is_image and name != "realmlp"
    return {
        "architecture": "auto" if by_width else name,
        "hidden": [layer.n_out for layer in architecture.hidden[:-1]] if by_width else None,
        "augment": kinds if is_image else None,
        "epochs": plan.epochs,
        "batch": plan.batch,
        "peak_rate": plan.peak_rate,
        "decay": plan.decay,
    }


def layers_of(
    architecture: Architecture, parameters: dict[str, Float32], preprocessing: Constants
) -> tuple[FittedLayer, ...]:
    """Return the layers of a model file for a network that was trained on rows of `preprocessing`."""
    if isinstance(preprocessing, PixelPreprocessing):
        return fitted_layers(architecture, parameters)
    places = network_places(preprocessing)
    return fitted_layers(
        architecture,
        parameters,
        numbers=places.numbers.tolist(),
        indicators=places.indicators,
        n_features=preprocessing.n_features,
    )


def _encode(examples: Examples, rows: Int64, preprocessing: Constants, weight: Float32 | None) -> Rows:
    """Return rows as an engine reads them, with targets and weights."""
    found = _rows_of(preprocessing, chosen_inputs(examples.inputs, rows))
    return replace(found, targets=examples.targets[rows].astype(np.int32), weight=weight)


def _rows_of(preprocessing: Constants, inputs: Any) -> Rows:
    """Return rows as an engine reads them; their targets are zeros."""
    if isinstance(preprocessing, PixelPreprocessing):
        pixels = np.ascontiguousarray(inputs)
        offset = np.array(preprocessing.mean, dtype=np.float32)
        scale = (1.0 / np.array(preprocessing.std)).astype(np.float32)
        return Rows(np.zeros(len(pixels), dtype=np.int32), pixels=pixels, offset=offset, scale=scale)
    numbers, codes = _table_inputs(preprocessing, inputs)
    return Rows(np.zeros(len(numbers), dtype=np.int32), numbers=numbers, codes=codes)


def _table_inputs(preprocessing: Preprocessing, inputs: Any) -> tuple[Float32, npt.NDArray[np.int32] | None]:
    """Return the numbers and the codes of rows, encoded block by block: the indicators of all would be large."""
    places = network_places(preprocessing)
    n_rows = len(next(iter(inputs.values())))
    numbers = np.empty((n_rows, len(places.numbers)), dtype=np.float32)
    codes = np.empty((n_rows, len(places.codes)), dtype=np.int32)
    for first in range(0, n_rows, BLOCK_ROWS):
        block = slice(first, first + BLOCK_ROWS)
        features = features_of(preprocessing, take_inputs(inputs, np.arange(n_rows)[block]))
        numbers[block] = features[:, places.numbers]
        for column, (start, count) in enumerate(zip(places.indicators, places.codes, strict=True)):
            codes[block, column] = features[:, start : start + count].argmax(axis=1)
    return numbers, codes if places.codes else None
