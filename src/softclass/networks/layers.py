"""What stands in an architecture: inputs and layers, as frozen values without arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Pixels:
    """Images come in.

    Attributes
    ----------
    height, width : int
        Sides, 1 to 96, or to 224 where PyTorch trains. A side below 8 is centred in 8 by zeros, which are means after
        normalising.
    channels : int
        1 to 4.
    """

    height: int
    width: int
    channels: int = 1


@dataclass(frozen=True)
class Columns:
    """Rows of a table come in: scaled numbers, and codes of categories.

    Attributes
    ----------
    numbers : int
        How many numbers a row has.
    codes : tuple of int
        For each category column how many codes there are: 0 missing, 1 other, 2 and more its categories.
    """

    numbers: int
    codes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Convolution:
    """A convolution with stride 1, and with bias if no `BatchNorm` follows.

    Attributes
    ----------
    maps : int
        Output channels.
    kernel : int
        Side of the kernel, 3 or 5.
    padding : {"valid", "same"}
        No zeros around the map, or so many that it keeps its sides.
    """

    maps: int
    kernel: int = 3
    padding: str = "valid"


@dataclass(frozen=True)
class BatchNorm:
    """Each map is centred and scaled by mean and variance of the batch, then stretched and moved as is learned [1]_.

    A fitted network takes running means of both instead; all of it is linear then and becomes part of the convolution.

    References
    ----------
    .. [1] S. Ioffe and C. Szegedy, "Batch normalization: accelerating deep network training by reducing internal
       covariate shift", ICML 2015.
    """


@dataclass(frozen=True)
class MaxPool:
    """The largest value of each 2 x 2 window; an odd last row or column is left out."""


@dataclass(frozen=True)
class Relu:
    """max(0, z)."""


@dataclass(frozen=True)
class Tanh:
    """tanh(z)."""


@dataclass(frozen=True)
class Sigmoid:
    """1 / (1 + exp(-z))."""


@dataclass(frozen=True)
class Selu:
    """The scaled exponential linear unit: λz above zero, λα(exp(z) - 1) below."""


@dataclass(frozen=True)
class Flatten:
    """Maps to features, in the order row, column, channel."""


@dataclass(frozen=True)
class Dropout:
    """While training, zeros at random; what stays is divided by the share that stays.

    Attributes
    ----------
    rate : float
        Share of zeros, in [0, 1).
    """

    rate: float


@dataclass(frozen=True)
class FullyConnected:
    """A linear layer with bias.

    Attributes
    ----------
    width : int
        Outputs.
    ntk : bool
        Neural tangent parametrisation: ``features @ weight.T / sqrt(n_in) + bias`` with standard normal start weights.
    zero : bool
        Whether weights start at zero.
    """

    width: int
    ntk: bool = False
    zero: bool = False


@dataclass(frozen=True)
class Embedding:
    """Columns of more than `above` categories are looked up in a table; the others count as indicators.

    Attributes
    ----------
    width : int
        Numbers a code stands for.
    above : int
        Columns of at most so many categories stay indicators: one input a code.
    """

    width: int = 8
    above: int = 9


@dataclass(frozen=True)
class Periodic:
    """Each number x is joined by three sums of 16 waves ``cos(2π·(frequency·x) + phase)``, all learned."""


@dataclass(frozen=True)
class Scale:
    """Every input is multiplied by a learned factor, which starts at one."""


Activation: TypeAlias = Relu | Tanh | Sigmoid | Selu
Input: TypeAlias = Pixels | Columns
Layer: TypeAlias = (
    Convolution | BatchNorm | MaxPool | Activation | Flatten | Dropout | FullyConnected | Embedding | Periodic | Scale
)
ACTIVATIONS: dict[str, Activation] = {"relu": Relu(), "tanh": Tanh(), "sigmoid": Sigmoid(), "selu": Selu()}
