"""The constants of a run, worked out from the number of rows, the classes and the architecture.

They were measured on Fashion-MNIST, MNIST, letter, dry_bean, shuttle and diamonds; what is given is taken instead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from softclass.networks.architecture import Architecture
from softclass.networks.engine import Plan
from softclass.networks.layers import Pixels

IMAGE_BATCH, SMALL_IMAGE_BATCH, SMALL_IMAGE_ROWS = 128, 64, 5_000
IMAGE_RATES = (5e-3, 3e-3)  # of one stage, and of more
IMAGE_DECAY, DEEP_DECAY, IMAGE_BETA2 = 0.01, 0.05, 0.99
EPOCH_ROWS, FEWEST_EPOCHS, MOST_EPOCHS = 50_000, 3, 60
MOST_MOVED_EPOCHS = 100  # of images that are mirrored or moved
SHIFT, SHIFT_EPOCHS, SHIFT_SIDE = 2, 12, 20  # shorter runs and smaller images lose by it

FEW_ROWS, MANY_ROWS = 10_000, 1_000_000
TABLE_WIDTHS = ((100,), (256, 256), (512, 512))
TABLE_STEPS, TABLE_BATCHES = 100, (32, 512)  # steps an epoch; range of the batch
TABLE_RATES = (1.5e-2, 5e-3)  # of one hidden layer, and of more
TABLE_DECAY, TABLE_BETA2, TABLE_DROPOUT = 0.02, 0.95, 0.1
TABLE_ROWS = 1_200_000  # learned from in all, at most
TABLE_ROOT_ROWS = 5_000  # the same for each root of a row where there are two hidden layers and more
TABLE_EPOCHS = (3, 100)
UNKNOWN = 0.01  # codes that become "other", so that its weights are learned

NTK_RATE, NTK_BATCH, NTK_EPOCHS = 0.04, 256, (30, 60)
RATE_BATCH = 128  # the rates above are meant for it; they grow with the root of the batch


@dataclass(frozen=True)
class Chosen:
    """What somebody chose; None leaves it to the plan.

    Attributes
    ----------
    epochs, batch : int or None
        Passes over the rows; rows a step.
    peak_rate, decay : float or None
        Highest learning rate; weight decay.
    """

    epochs: int | None = None
    batch: int | None = None
    peak_rate: float | None = None
    decay: float | None = None


def table_widths(n_rows: int) -> tuple[int, ...]:
    """Return the hidden layers for so many rows."""
    return TABLE_WIDTHS[(n_rows >= FEW_ROWS) + (n_rows >= MANY_ROWS)]


def table_dropout(n_rows: int, n_parameters: int) -> float:
    """Return the rate of the dropout for a network without one: networks larger than their data need it."""
    return TABLE_DROPOUT if n_parameters > n_rows else 0.0


def image_plan(architecture: Architecture, n_rows: int, chosen: Chosen, *, flip: bool = False, shift: int = 0) -> Plan:
    """
    Return the plan of a network for images.

    Parameters
    ----------
    architecture : Architecture
        The network.
    n_rows : int
        Rows that it is trained on.
    chosen : Chosen
        What is not left to the plan.
    flip, shift
        As in `Plan`.

    Returns
    -------
    Plan
        One stage: 6 epochs of 50,000 rows; two: 12, with a hidden layer 8, with a kernel of 5 and a hidden layer 4;
        with normalisation 8. At least 3 epochs, at most 60, or 100 where images are mirrored or moved.

    Examples
    --------
    >>> from softclass.networks.known_architectures import image_architecture
    >>> plan = image_plan(image_architecture("classic", Pixels(28, 28), 10), 60_000, Chosen())
    >>> plan.epochs, plan.batch, plan.peak_rate
    (5, 128, 0.005)
    """
    batch = chosen.batch or (IMAGE_BATCH if n_rows >= SMALL_IMAGE_ROWS else SMALL_IMAGE_BATCH)
    stages, has_hidden = architecture.stages, len(architecture.hidden) > 1
    is_deep = any(stage.normalised for stage in stages)
    passes = 8 if is_deep else 6 if len(stages) == 1 else 12 if not has_hidden else 4 if stages[0].kernel == 5 else 8
    most = MOST_MOVED_EPOCHS if flip or shift else MOST_EPOCHS
    epochs = min(max(math.ceil(passes * EPOCH_ROWS / n_rows), FEWEST_EPOCHS), most)
    is_classic = len(stages) == 1 and not has_hidden
    rate = (IMAGE_RATES[0] if is_classic else IMAGE_RATES[1]) * math.sqrt(batch / RATE_BATCH)
    return Plan(
        n_rows=n_rows,
        batch=batch,
        epochs=chosen.epochs or epochs,
        peak_rate=rate if chosen.peak_rate is None else chosen.peak_rate,
        decay=(DEEP_DECAY if is_deep else IMAGE_DECAY) if chosen.decay is None else chosen.decay,
        beta2=IMAGE_BETA2,
        flip=flip,
        shift=shift,
    )


def table_plan(architecture: Architecture, n_rows: int, chosen: Chosen) -> Plan:
    """
    Return the plan of a network for tables.

    Parameters
    ----------
    architecture : Architecture
        The network.
    n_rows : int
        Rows that it is trained on.
    chosen : Chosen
        What is not left to the plan.

    Returns
    -------
    Plan
        1.2 million rows in all, with more than one hidden layer at most 5,000 times the root of their number, in 3 to
        100 epochs of about 100 steps.

    Examples
    --------
    >>> from softclass.networks.known_architectures import table_architecture
    >>> from softclass.networks.layers import Columns
    >>> plan = table_plan(table_architecture(Columns(16), 26, (100,)), 16_000, Chosen())
    >>> plan.epochs, plan.batch, round(plan.peak_rate, 6)
    (75, 128, 0.015)
    """
    has_ntk = not isinstance(architecture.input, Pixels) and architecture.hidden[0].ntk
    low, high = TABLE_BATCHES
    near = 2 ** round(math.log2(max(n_rows / TABLE_STEPS, 1.0)))
    batch = chosen.batch or (NTK_BATCH if has_ntk else min(max(near, low), high))
    has_one = len(architecture.hidden) == 2  # the last of them is the one of the classes
    rate = TABLE_RATES[0] if has_one else TABLE_RATES[1]
    rate = NTK_RATE if has_ntk else rate * math.sqrt(batch / RATE_BATCH)
    in_all = TABLE_ROWS if has_one else min(TABLE_ROWS, TABLE_ROOT_ROWS * math.sqrt(n_rows))
    fewest, most = NTK_EPOCHS if has_ntk else TABLE_EPOCHS
    codes = () if isinstance(architecture.input, Pixels) else architecture.input.codes
    return Plan(
        n_rows=n_rows,
        batch=batch,
        epochs=chosen.epochs or min(max(math.ceil(in_all / n_rows), fewest), most),
        peak_rate=rate if chosen.peak_rate is None else chosen.peak_rate,
        schedule="coslog4" if has_ntk else "one-cycle",
        decay=TABLE_DECAY if chosen.decay is None else chosen.decay,
        beta2=TABLE_BETA2,
        unknown=UNKNOWN if codes else 0.0,
    )
