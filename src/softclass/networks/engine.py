"""What the training story and an engine tell each other: rows, a plan of steps, reports, a state to go on from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Int64 = npt.NDArray[np.int64]

START_SHARE, END_SHARE = 1 / 25, 1e-3  # of the peak rate, at the first and the last step of a one-cycle schedule
WARM_UP = 0.2  # share of the steps until the peak


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows as an engine reads them; they are never copied.

    Attributes
    ----------
    targets : int32 array of shape (n_rows,), or float32 of shape (n_rows, n_classes)
        Class indices, or a distribution over the classes.
    weight : float32 array of shape (n_rows,), or None
        Weights of the rows, scaled to mean 1; a step divides by its number of rows, not by their weights.
    pixels : uint8 or float32 array of shape (n_rows, height, width, channels), or None
        Images. The network's input is ``(pixel - offset) * scale``, rounded to float32 after each of the two.
    offset, scale : float32 arrays of shape (channels,), or None
        Constants of the images.
    numbers : float32 array of shape (n_rows, numbers), or None
        Scaled numbers of a table.
    codes : int32 array of shape (n_rows, categories), or None
        Codes of a table: 0 missing, 1 other, 2 and more a category.
    """

    targets: npt.NDArray[Any]
    weight: Float32 | None = None
    pixels: npt.NDArray[Any] | None = None
    offset: Float32 | None = None
    scale: Float32 | None = None
    numbers: Float32 | None = None
    codes: npt.NDArray[np.int32] | None = None

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True, eq=False)
class StepConstants:
    """What changes from step to step, worked out in float64.

    Attributes
    ----------
    rate : float64 array of shape (n_steps,)
        Learning rate.
    decay : float64 array of shape (n_steps,)
        Decoupled weight decay, before the rate is multiplied in.
    dropout : float64 array of shape (n_steps,)
        Factor of the rate of every `Dropout`.
    """

    rate: npt.NDArray[np.float64]
    decay: npt.NDArray[np.float64]
    dropout: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Plan:
    """
    All constants of a run.

    Attributes
    ----------
    n_rows, batch, epochs : int
        Rows that are trained on, rows a step, passes over them. The last batch of an epoch is shorter if need be.
    peak_rate : float
        Highest learning rate.
    schedule : {"one-cycle", "coslog4", "constant"}
        How the rate moves over the steps.
    decay : float
        Weight decay of AdamW; biases and scales have none.
    beta1, beta2, epsilon : float
        Constants of AdamW.
    flip, shift : bool, int
        Whether images are mirrored left to right in half of the cases; how many pixels they are moved at most.
    unknown : float
        Share of the codes that become 1, "other".
    first_epoch : int
        Number of the first epoch, by which draws are keyed; not 0 when training goes on.
    """

    n_rows: int
    batch: int
    epochs: int
    peak_rate: float
    schedule: str = "one-cycle"
    decay: float = 0.01
    beta1: float = 0.9
    beta2: float = 0.99
    epsilon: float = 1e-8
    flip: bool = False
    shift: int = 0
    unknown: float = 0.0
    first_epoch: int = 0

    @property
    def steps_per_epoch(self) -> int:
        """Steps of one pass."""
        return -(-self.n_rows // self.batch)

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return self.epochs * self.steps_per_epoch

    def epoch_of(self, step: int) -> int:
        """Return the number of the epoch, as draws are keyed by it, in which a step lies."""
        return self.first_epoch + step // self.steps_per_epoch

    def constants(self, first_step: int, last_step: int) -> StepConstants:
        """Return what changes, for the steps from `first_step` up to but not including `last_step`."""
        step = np.arange(first_step, last_step, dtype=np.float64)
        one = np.ones(len(step))
        if self.schedule == "constant":
            return StepConstants(self.peak_rate * one, self.decay * one, one)
        if self.schedule == "one-cycle":
            warm = max(1.0, WARM_UP * self.steps)
            rising = START_SHARE + (1 - START_SHARE) * step / warm
            falling = 1 - (step - warm) / max(1.0, self.steps - warm)
            share = np.where(step < warm, rising, np.maximum(END_SHARE, falling))
            return StepConstants(self.peak_rate * share, self.decay * one, one)
        done = step / self.steps
        share = np.array([0.5 * (1 - math.cos(2 * math.pi * math.log2(1 + 15 * t))) for t in done.tolist()])
        fading = np.array([1.0 if t < 0.5 else 0.5 * (1 + math.cos(math.pi * (2 * t - 1))) for t in done.tolist()])
        return StepConstants(self.peak_rate * share, self.decay * fading, fading)


@dataclass(frozen=True)
class StepReport:
    """What some steps brought.

    Attributes
    ----------
    last_step : int
        The step that would come next. Fewer steps than asked for may have been done: about 50 ms of them.
    loss_sum, weight_sum, correct : float
        Sums over the rows of these steps, in float64: weight times loss, weight, and weight of the rows whose largest
        logit is that of their class. Those of a step are multiples of 2**-24, so that adding reports is exact.
    gradient_norm : float
        The largest length of the gradient in these steps.
    is_finite : bool
        Whether all losses and gradients were finite. The steps stop where they were not; `last_step` is then that step.
    """

    last_step: int
    loss_sum: float
    weight_sum: float
    correct: float
    gradient_norm: float
    is_finite: bool


@dataclass(frozen=True, eq=False)
class EngineState:
    """All that an engine needs to go on as if it had never stopped.

    Attributes
    ----------
    parameters, first_moments, second_moments : dict of float32 arrays
        Under the names and in the shapes of `Architecture.parameter_shapes`.
    step : int
        Steps that were done.
    beta1_product, beta2_product : float
        Running products of the decay rates of the moments.
    """

    parameters: dict[str, Float32]
    first_moments: dict[str, Float32]
    second_moments: dict[str, Float32]
    step: int
    beta1_product: float
    beta2_product: float


class Engine(Protocol):
    """Something that trains an architecture; the training story knows nothing else of it."""

    def initialise(self) -> None:
        """Set start weights, which follow from architecture and seed alone, and zero moments."""

    def run(self, rows: Rows, order: Int64, first_step: int, last_step: int, plan: Plan) -> StepReport:
        """
        Do the steps from `first_step` up to but not including `last_step`, or the first of them.

        Steps count from 0 over all epochs of `plan`; those of one call lie in one epoch, whose rows come in `order`:
        step s of it takes ``order[s * batch : (s + 1) * batch]``. Draws are keyed by ``plan.epoch_of(step)`` and by row
        number. Where a run is cut into calls changes no bit.
        """

    def logits(self, rows: Rows, indices: Int64 | None = None) -> Float32:
        """Return the logits of rows, of shape (n, n_classes), without dropout or augmentation."""

    def parameters(self) -> dict[str, Float32]:
        """Return copies of the parameters in logical layout."""

    def state(self) -> EngineState:
        """Return copies of all that is needed to go on."""

    def load_state(self, state: EngineState) -> None:
        """Go on from a state."""
