"""A network fitted to encoded rows: the native engine, epochs judged after a temperature, checkpoints on disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from softclass.estimators.checkpoint import CheckpointFolder, digest_of_run
from softclass.networks.architecture import Architecture
from softclass.networks.engine import Engine, EngineState, Float32, Plan, Rows
from softclass.networks.native import NativeEngine
from softclass.networks.training import FittedNetwork, Patience, Score, TrainingState, epoch_order, train_network
from softclass.trust.metrics import row_log_losses
from softclass.trust.temperature import best_temperature

MOST_VALIDATION_ROWS, FEWEST_VALIDATION_ROWS = 5_000, 10
VALIDATION_EPOCH = 2**32 - 1  # no run comes to it


@dataclass(frozen=True)
class Watch:
    """
    Who is told of a run, who may end it, and where it is kept.

    Attributes
    ----------
    on_epoch : callable (row), optional
        Told the row of history of each epoch; what it returns, if true, ends the run.
    on_steps : callable (step, steps), optional
        Told how far the run is, several times a second.
    should_stop : callable () -> bool, optional
        Asked several times a second; True ends the run with the best epoch so far.
    checkpoints : Path, optional
        Folder in which the newest two states of the run stand.
    resume : bool
        Whether to go on from the newest of them, if there is one.
    """

    on_epoch: Callable[[dict[str, Any]], object] | None = None
    on_steps: Callable[[int, int], None] | None = None
    should_stop: Callable[[], bool] | None = None
    checkpoints: Path | None = None
    resume: bool = False


def scaled_log_loss(logits: Float32, targets: npt.NDArray[Any], weight: Float32 | None) -> Score:
    """
    Return what logits are worth after the single best temperature.

    Networks grow too sure of themselves before they stop to sort better: the plain log loss ends runs too early. The
    temperature of the fitted model is found later, on other rows.

    Parameters
    ----------
    logits : float32 array of shape (n, n_classes)
        Of the validation rows.
    targets : int array of shape (n,)
        Their classes.
    weight : float32 array of shape (n,), or None
        Their weights.

    Returns
    -------
    Score
        Log loss after the temperature ranks.

    Examples
    --------
    >>> score = scaled_log_loss(np.array([[9.0, 0.0]] * 3, np.float32), np.array([0, 0, 1]), None)
    >>> round(score.log_loss, 2), round(score.value, 2)
    (3.0, 0.64)
    """
    targets = targets.astype(np.int64)
    weights = np.ones(len(targets)) if weight is None else weight.astype(np.float64)
    exact = logits.astype(np.float64)
    temperature = best_temperature(exact, targets, weights)
    right = exact.argmax(axis=1) == targets
    losses = row_log_losses(exact, targets), row_log_losses(exact / temperature, targets)
    plain, scaled, accuracy = (float(np.average(values, weights=weights)) for values in (*losses, right))
    return Score(scaled, temperature, plain, accuracy)


def fit_network(
    architecture: Architecture,
    rows: Rows,
    validation: Rows | None,
    plan: Plan,
    *,
    seed: int,
    threads: int,
    patience: Patience | int | None,
    watch: Watch | None = None,
    start: EngineState | None = None,
    device: str = "cpu",
) -> FittedNetwork:
    """
    Train a network on encoded rows.

    Parameters
    ----------
    architecture : Architecture
        The network.
    rows, validation : Rows
        Rows to learn from, none of weight zero, and rows that rank the epochs.
    plan : Plan
        Constants.
    seed : int
        Decides every draw.
    threads : int
        Most threads; no bit of the result depends on it, but where PyTorch trains. 0: the kernels decide.
    patience : Patience or int, optional
        When the run ends early; a number stands for so many epochs without a better one.
    watch : Watch, optional
        Who is told, and where checkpoints stand.
    start : EngineState, optional
        Where to begin.
    device : str, default "cpu"
        As in `engine_for`.

    Returns
    -------
    FittedNetwork
        The best epoch.

    Raises
    ------
    NotFiniteError, ModelFileError
        SC132, if training diverges; SC411 and SC412, if it cannot go on from a checkpoint.
    """
    watch = watch or Watch()
    engine = engine_for(architecture, seed, threads, device)
    folder = None
    if watch.checkpoints is not None:
        folder = CheckpointFolder(watch.checkpoints, digest_of_run(architecture, plan, seed, rows, validation))
    ended: list[bool] = []

    def on_epoch(row: dict[str, Any]) -> None:
        if watch.on_epoch is not None and watch.on_epoch(row):
            ended.append(True)

    def should_stop() -> bool:
        if not ended and watch.should_stop is not None and watch.should_stop():
            ended.append(True)
        return bool(ended)

    def on_state(state: TrainingState) -> None:
        if folder is not None:
            folder.write(state) if ended else folder.save(state)

    return train_network(
        engine,
        rows,
        validation,
        plan,
        seed=seed,
        score=scaled_log_loss,
        patience=patience,
        on_epoch=on_epoch,
        on_steps=watch.on_steps,
        on_state=None if folder is None else on_state,
        should_stop=should_stop,
        start=start,
        resume=folder.newest() if folder is not None and watch.resume else None,
    )


def engine_for(architecture: Architecture, seed: int, threads: int, device: str = "cpu") -> Engine:
    """
    Return what trains a network on a device.

    Parameters
    ----------
    architecture : Architecture
        The network.
    seed : int
        Decides every draw.
    threads : int
        As in `fit_network`.
    device : str, default "cpu"
        "cpu" is the compiled engine, or PyTorch's for what only that trains; "cuda", "cuda:1" and "mps" are PyTorch's.

    Returns
    -------
    Engine
        Before its first step.

    Raises
    ------
    MissingExtraError
        SC601, if PyTorch is needed and not installed.
    DeviceError
        SC602, if there is no such device.
    """
    if device == "cpu" and not architecture.needs_torch:
        return NativeEngine(architecture, seed=seed, n_threads=threads)
    from softclass.networks.torch import TorchEngine

    return TorchEngine(architecture, seed=seed, n_threads=threads or None, device=device)


def network_of(architecture: Architecture, parameters: dict[str, Float32], threads: int) -> Engine:
    """
    Return an engine with these parameters, for logits.

    Parameters
    ----------
    architecture : Architecture
        The network.
    parameters : dict of float32 arrays
        Under the names of `Architecture.parameter_shapes`.
    threads : int
        As in `fit_network`.

    Returns
    -------
    Engine
        Ready.
    """
    engine = engine_for(architecture, 0, threads)
    none = {name: np.zeros_like(array) for name, array in parameters.items()}
    engine.load_state(EngineState(parameters, none, none, 0, 1.0, 1.0))
    return engine


def allowed_threads(n_jobs: int | None) -> int:
    """
    Return how many threads an engine may use.

    Parameters
    ----------
    n_jobs : int, optional
        As in scikit-learn: negative numbers count down from all.

    Returns
    -------
    int
        0, if the kernels decide.

    Examples
    --------
    >>> allowed_threads(3), allowed_threads(None)
    (3, 0)
    """
    if n_jobs is None or n_jobs > 0:
        return n_jobs or 0
    return max(1, (os.cpu_count() or 1) + 1 + n_jobs)


def validation_rows(targets: npt.NDArray[Any], share: float, seed: int) -> npt.NDArray[np.bool_]:
    """
    Return which rows rank the epochs: the same share of every class.

    Parameters
    ----------
    targets : int array of shape (n,)
        Classes.
    share : float
        Of the rows, at most 5,000 of them.
    seed : int
        Decides the draw.

    Returns
    -------
    bool array of shape (n,)
        All False where they would be fewer than 10, too few to rank anything. Classes of one row keep it for learning.

    Examples
    --------
    >>> validation_rows(np.repeat([0, 1], 100), 0.1, 0).reshape(2, 100).sum(axis=1)
    array([10, 10])
    """
    share = min(share, MOST_VALIDATION_ROWS / max(len(targets), 1))
    chosen = np.zeros(len(targets), dtype=np.bool_)
    order = epoch_order(seed, VALIDATION_EPOCH, len(targets))
    order = order[np.argsort(targets[order], kind="stable")]
    order = order[np.bincount(targets)[targets[order]] > 1]
    # Evenly spaced along the classes: each gives its share, to within a row.
    places = np.arange(len(order))
    chosen[order[np.floor((places + 0.5) * share + 0.5) < np.floor((places + 1.5) * share + 0.5)]] = True
    return chosen if chosen.sum() >= FEWEST_VALIDATION_ROWS else np.zeros_like(chosen)
