"""The story of a training run, the same for every engine: epochs, the best of them, restarts, states to go on from.

Interrupted and resumed is the same as never interrupted, in every bit but the seconds: draws are keyed by place,
reports of steps add up exactly, and a `TrainingState` holds the rest.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from softclass.errors import NotFiniteError
from softclass.kernels import cpu
from softclass.networks.engine import Engine, EngineState, Float32, Int64, Plan, Rows

PATIENCE_EPOCHS = 20  # shorter runs follow their schedule to the end: its falling part earns the accuracy
PATIENCE_SHARE = 1 / 3
PATIENCE_MARGIN = 0.05  # that much worse than the best are runs that overfit; others find their best at the end
RESTART_FACTOR, MOST_RESTARTS = 0.3, 2
STATE_SECONDS = 60.0


@dataclass(frozen=True)
class Score:
    """What an epoch is worth on the validation rows.

    Attributes
    ----------
    value : float
        Ranks the epochs; the smallest is the best. Log loss after the best single temperature, in nats.
    temperature : float
        That temperature; it ranks epochs only and is not kept.
    log_loss, accuracy : float
        Of the logits as they are.
    """

    value: float
    temperature: float
    log_loss: float
    accuracy: float


ScoreFunction = Callable[[Float32, npt.NDArray[Any], Float32 | None], Score]


@dataclass(frozen=True, eq=False)
class Best:
    """The best epoch so far.

    Attributes
    ----------
    value : float
        Its score.
    epoch : int
        Its number, from 1.
    parameters : dict of float32 arrays
        Its parameters.
    """

    value: float
    epoch: int
    parameters: dict[str, Float32]


@dataclass(frozen=True)
class Restart:
    """An epoch that was begun again with a smaller rate, since it met NaN or infinity.

    Attributes
    ----------
    epoch, step : int
        Epoch, from 1, and step, from 0 over the whole run, at which it happened.
    peak_rate : float
        The new peak rate.
    """

    epoch: int
    step: int
    peak_rate: float


@dataclass(frozen=True, eq=False)
class TrainingState:
    """
    All that is needed to go on.

    Attributes
    ----------
    plan : Plan
        With the peak rate as it is now.
    step : int
        Steps that are done.
    engine, epoch_start : EngineState
        Now, and at the start of this epoch.
    loss_sum, weight_sum, correct, gradient_norm : float
        Of this epoch so far.
    seconds : float
        Spent on this epoch so far.
    best : Best or None
        The best epoch so far.
    history : tuple of dict
        One row an epoch that is done.
    restarts : tuple of Restart
        What went wrong so far.
    """

    plan: Plan
    step: int
    engine: EngineState
    epoch_start: EngineState
    loss_sum: float = 0.0
    weight_sum: float = 0.0
    correct: float = 0.0
    gradient_norm: float = 0.0
    seconds: float = 0.0
    best: Best | None = None
    history: tuple[dict[str, Any], ...] = ()
    restarts: tuple[Restart, ...] = ()


@dataclass(frozen=True, eq=False)
class FittedNetwork:
    """
    What a run brought.

    Attributes
    ----------
    parameters : dict of float32 arrays
        Those of the best epoch, all finite.
    best_epoch : int
        Its number, from 1.
    history : tuple of dict
        One row an epoch.
    restarts : tuple of Restart
        What went wrong.
    state : EngineState
        At the end of the run, which is not the best epoch's.
    reason : {"finished", "patience", "stopped"}
        Why the run ended.
    """

    parameters: dict[str, Float32]
    best_epoch: int
    history: tuple[dict[str, Any], ...]
    restarts: tuple[Restart, ...]
    state: EngineState
    reason: str


@dataclass(frozen=True)
class Patience:
    """When a run ends before its plan does.

    Attributes
    ----------
    epochs : int
        So many epochs in a row must bring nothing better.
    margin : float
        By this share each of them must be worse than the best.
    """

    epochs: int
    margin: float = 0.0


def patience_of(epochs: int) -> Patience | None:
    """
    Return the patience of a run that nobody gave one.

    Parameters
    ----------
    epochs : int
        Of the plan.

    Returns
    -------
    Patience or None
        A third of the epochs, all clearly worse: the falling rate earns most at the end, so only runs that overfit
        should end early. None for short runs, which follow their schedule to its end.

    Examples
    --------
    >>> patience_of(60)
    Patience(epochs=20, margin=0.05)
    """
    if epochs < PATIENCE_EPOCHS:
        return None
    return Patience(max(1, round(PATIENCE_SHARE * epochs)), PATIENCE_MARGIN)


def epoch_order(seed: int, epoch: int, n: int) -> Int64:
    """
    Return the order of the rows in an epoch: `softclass.networks.augmentation.permutation`, in compiled code.

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

    Examples
    --------
    >>> epoch_order(0, 0, 8)
    array([7, 2, 6, 4, 3, 5, 0, 1])
    """
    order = np.empty(n, dtype=np.int64)
    cpu.network_order(seed, epoch, order)
    return order


def train_network(
    engine: Engine,
    rows: Rows,
    validation: Rows | None,
    plan: Plan,
    *,
    seed: int,
    score: ScoreFunction,
    patience: Patience | int | None = None,
    on_epoch: Callable[[dict[str, Any]], None] | None = None,
    on_steps: Callable[[int, int], None] | None = None,
    on_state: Callable[[TrainingState], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    start: EngineState | None = None,
    resume: TrainingState | None = None,
) -> FittedNetwork:
    """
    Train a network and keep its best epoch.

    Parameters
    ----------
    engine : Engine
        Trains; its seed is `seed`.
    rows, validation : Rows
        Rows to learn from, none of weight zero, and rows that rank the epochs. Without the latter the last epoch is
        taken.
    plan : Plan
        Constants.
    seed : int
        Decides the order of the rows.
    score : callable (logits, targets, weight) -> Score
        Judges the validation rows.
    patience : Patience or int, optional
        When the run ends early; a number stands for so many epochs without a better one.
    on_epoch : callable (row), optional
        Told the row of history of each epoch.
    on_steps : callable (step, steps), optional
        Told how far the run is, several times a second.
    on_state : callable (state), optional
        Given a state at the end of each epoch, every minute, and when `should_stop` ends the run.
    should_stop : callable () -> bool, optional
        Asked several times a second; True ends the run with the best epoch so far.
    start : EngineState, optional
        Where to begin, instead of start weights.
    resume : TrainingState, optional
        Where to go on.

    Returns
    -------
    FittedNetwork
        Parameters of the best epoch, of equal ones the earliest, and the history.

    Raises
    ------
    NotFiniteError
        SC132, if loss or gradient turns NaN or infinite for the third time. The first two times the epoch begins again
        with 0.3 of the peak rate.
    """
    if resume is not None:
        state = resume
        engine.load_state(state.engine)
    else:
        if start is None:
            engine.initialise()
        else:
            engine.load_state(start)
        now = engine.state()
        state = TrainingState(plan, 0, now, now)
    if isinstance(patience, int):
        patience = Patience(patience)
    reason = "finished"
    saved_at = time.monotonic()
    order: Int64 | None = None
    while not _is_over(state, patience):
        plan = state.plan
        epoch = state.step // plan.steps_per_epoch
        if order is None:
            order = epoch_order(seed, plan.first_epoch + epoch, plan.n_rows)
        began = time.monotonic()
        report = engine.run(rows, order, state.step, (epoch + 1) * plan.steps_per_epoch, plan)
        if not report.is_finite:
            state = _restarted(state, engine, rows, order, report.last_step)
            continue
        state = replace(
            state,
            step=report.last_step,
            loss_sum=state.loss_sum + report.loss_sum,
            weight_sum=state.weight_sum + report.weight_sum,
            correct=state.correct + report.correct,
            gradient_norm=max(state.gradient_norm, report.gradient_norm),
            seconds=state.seconds + time.monotonic() - began,
        )
        if on_steps is not None:
            on_steps(state.step, plan.steps)
        if state.step % plan.steps_per_epoch == 0:
            began = time.monotonic()
            logits = None if validation is None else engine.logits(validation)
            if logits is not None and not np.isfinite(logits).all():
                state = _restarted(state, engine, rows, order, state.step - 1)
                continue
            judged = None
            if validation is not None and logits is not None:
                judged = score(logits, validation.targets, validation.weight)
            state = replace(state, seconds=state.seconds + time.monotonic() - began)
            state, order = _epoch_ended(state, engine, judged), None
            saved_at = time.monotonic()
            if on_state is not None:
                on_state(state)
            if on_epoch is not None:
                on_epoch(state.history[-1])
        elif on_state is not None and time.monotonic() - saved_at > STATE_SECONDS:
            state = replace(state, engine=engine.state())
            on_state(state)
            saved_at = time.monotonic()
        if should_stop is not None and not _is_over(state, patience) and should_stop():
            reason = "stopped"
            if on_state is not None:
                on_state(replace(state, engine=engine.state()))
            break
    if reason == "finished" and state.step < state.plan.steps:
        reason = "patience"
    return _fitted(state, engine, reason)


def _is_over(state: TrainingState, patience: Patience | None) -> bool:
    """Whether the last step is done, or too many epochs have brought nothing better."""
    if state.step >= state.plan.steps:
        return True
    if patience is None or state.best is None or len(state.history) - state.best.epoch < patience.epochs:
        return False
    values = [row["validation_log_loss_scaled"] for row in state.history[-patience.epochs :]]
    return all(value is not None and value >= (1 + patience.margin) * state.best.value for value in values)


def _epoch_ended(state: TrainingState, engine: Engine, judged: Score | None) -> TrainingState:
    """Add a row to the history, keep the epoch if it is the best, and begin the next."""
    plan, epoch, best = state.plan, len(state.history) + 1, state.best
    now = engine.state()
    # Without validation rows every epoch counts as better than the one before.
    is_best = best is None or judged is None or judged.value < best.value
    if is_best:
        best = Best(float("nan") if judged is None else judged.value, epoch, now.parameters)
    row = {
        "epoch": epoch,
        "step": state.step,
        "train_loss": state.loss_sum / state.weight_sum,
        "train_accuracy": state.correct / state.weight_sum,
        "validation_log_loss": None if judged is None else judged.log_loss,
        "validation_accuracy": None if judged is None else judged.accuracy,
        "lr": float(plan.constants(state.step - 1, state.step).rate[0]),
        "seconds": state.seconds,
        "rows_per_s": plan.n_rows / max(state.seconds, 1e-9),
        "is_best": is_best,
        "validation_log_loss_scaled": None if judged is None else judged.value,
        "temperature": None if judged is None else judged.temperature,
        "gradient_norm": state.gradient_norm,
    }
    history = (*state.history, row)
    return TrainingState(plan, state.step, now, now, best=best, history=history, restarts=state.restarts)


def _restarted(state: TrainingState, engine: Engine, rows: Rows, order: Int64, step: int) -> TrainingState:
    """Go back to the start of the epoch with a smaller rate, or give up."""
    plan = state.plan
    epoch = len(state.history) + 1
    if len(state.restarts) >= MOST_RESTARTS:
        first = (step % plan.steps_per_epoch) * plan.batch
        raise _diverged(engine, rows, order[first : first + plan.batch], epoch, step, plan)
    plan = replace(plan, peak_rate=RESTART_FACTOR * plan.peak_rate)
    engine.load_state(state.epoch_start)
    return TrainingState(
        plan,
        (epoch - 1) * plan.steps_per_epoch,
        state.epoch_start,
        state.epoch_start,
        seconds=state.seconds,
        best=state.best,
        history=state.history,
        restarts=(*state.restarts, Restart(epoch, step, plan.peak_rate)),
    )


def _diverged(engine: Engine, rows: Rows, batch: Int64, epoch: int, step: int, plan: Plan) -> NotFiniteError:
    """Return the error of a run that met NaN or infinity too often."""
    sizes = {name: _length(array) for name, array in engine.parameters().items()}
    name = max(sizes, key=lambda name: np.inf if np.isnan(sizes[name]) else sizes[name])
    features = rows.pixels if rows.pixels is not None else rows.numbers
    largest = 0.0 if features is None else float(np.abs(features[batch].astype(np.float64)).max(initial=0.0))
    rate = float(plan.constants(step, step + 1).rate[0])
    return NotFiniteError(
        "SC132",
        f"loss or gradient is not finite at epoch {epoch}, step {step}, learning rate {rate:.3g}, for the third time;"
        f" the largest parameter is {name} (length {sizes[name]:.3g}), the largest feature of the batch {largest:.3g}",
        where="train_network",
        hint="Lower the learning rate, or look for extreme values in the data",
    )


def _length(array: Float32) -> float:
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.sqrt(np.sum(np.square(array, dtype=np.float64))))


def _fitted(state: TrainingState, engine: Engine, reason: str) -> FittedNetwork:
    """Return the best parameters; those of now if no epoch has ended."""
    now = engine.state()
    best = state.best or Best(float("nan"), 0, now.parameters)
    for name, array in best.parameters.items():
        if not np.isfinite(array).all():
            raise NotFiniteError("SC132", f"parameter {name} is not finite after training", where="train_network")
    return FittedNetwork(best.parameters, best.epoch, state.history, state.restarts, now, reason)
