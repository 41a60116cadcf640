"""What a network is, as pure data: what comes in, which layers follow, their shapes and counts.

An `Architecture` says what is trained, without a weight in it. The grammar of what the engines run::

    image = Pixels stage{1,2} Flatten (Dropout? FullyConnected Relu){0,2} Dropout? FullyConnected
    stage = Convolution MaxPool Relu
    table = Columns Periodic? Embedding? Scale? (FullyConnected activation Dropout?){1,4} FullyConnected

The PyTorch engine runs up to 16 stages, each ``Convolution BatchNorm? MaxPool? Relu``.

Fitted weights stand beside it, as arrays under the names of `Architecture.parameter_shapes`; `Dense` is a fitted linear
layer by itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from softclass.networks.grammar import check_architecture, needs_torch, refused
from softclass.networks.layers import (
    Activation,
    BatchNorm,
    Columns,
    Convolution,
    Dropout,
    Embedding,
    Flatten,
    FullyConnected,
    Input,
    Layer,
    MaxPool,
    Periodic,
    Pixels,
    Relu,
    Scale,
    Selu,
    Sigmoid,
    Tanh,
)

SMALLEST_SIDE = 8  # smaller images are centred in it by zeros around the first convolution
PERIODIC_WAVES, PERIODIC_OUTPUTS = 16, 3
STATISTICS = ("mean", "variance")  # of a BatchNorm, beside what it learns
_KINDS: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (
        Pixels, Columns, Convolution, BatchNorm, MaxPool, Relu, Tanh, Sigmoid, Selu, Flatten, Dropout, FullyConnected,
        Embedding, Periodic, Scale,
    )
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Dense:
    """A fitted fully connected layer: ``features @ weight.T + bias``, and what is done to it.

    Attributes
    ----------
    weight : float64 array of shape (n_out, n_in)
        One row an output.
    bias : float64 array of shape (n_out,)
        Added to the product.
    activation : {"", "relu", "tanh", "sigmoid", "selu"}
        What follows; nothing behind the last layer.
    """

    weight: npt.NDArray[np.float64]
    bias: npt.NDArray[np.float64]
    activation: str = ""


@dataclass(frozen=True)
class Stage:
    """The geometry of a convolution, pool or not, and relu.

    Attributes
    ----------
    in_height, in_width, in_channels : int
        Of the map that comes in, without zeros around it.
    pads : tuple of int
        Zeros above, left of, below and right of it.
    kernel, maps : int
        Side of the kernel, output channels.
    height, width : int
        Of the map that goes out.
    normalised, pooled : bool
        Whether there are a `BatchNorm` and a `MaxPool`.
    """

    in_height: int
    in_width: int
    in_channels: int
    pads: tuple[int, int, int, int]
    kernel: int
    maps: int
    height: int
    width: int
    normalised: bool = False
    pooled: bool = True

    @property
    def places(self) -> int:
        """Values of a map of the convolution, in front of the pool."""
        top, left, bottom, right = self.pads
        tall, wide = (side - self.kernel + 1 for side in (self.in_height + top + bottom, self.in_width + left + right))
        return tall * wide

    @property
    def multiplications(self) -> int:
        """Products of one image, at the positions that the pool looks at."""
        places = (4 if self.pooled else 1) * self.height * self.width
        return places * self.kernel**2 * self.in_channels * self.maps


@dataclass(frozen=True)
class Hidden:
    """A fully connected layer with what stands around it.

    Attributes
    ----------
    n_in, n_out : int
        Inputs and outputs.
    activation : Relu, Tanh, Sigmoid, Selu or None
        What follows; None behind the last layer.
    dropout : float
        Share of zeros among its *inputs*.
    ntk, zero : bool
        As in `FullyConnected`.
    """

    n_in: int
    n_out: int
    activation: Activation | None
    dropout: float
    ntk: bool
    zero: bool


@dataclass(frozen=True)
class Architecture:
    """
    A network without its weights.

    Parameters
    ----------
    input : Pixels or Columns
        What comes in.
    layers : tuple of layers
        In order, the last a `FullyConnected` as wide as there are classes.

    Attributes
    ----------
    input, layers
        As given.

    Raises
    ------
    OptionError
        SC141, if no engine runs it; the message names the layer and the nearest that would do.

    Examples
    --------
    >>> layers = (Convolution(32), MaxPool(), Relu(), Flatten(), FullyConnected(10))
    >>> classic = Architecture(Pixels(28, 28), layers)
    >>> classic.n_parameters, classic.multiplications
    (54410, 248768)
    """

    input: Input
    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        check_architecture(self.input, self.layers)
        for number, stage in enumerate(self.stages, start=1):
            if stage.height < 1 or stage.width < 1:
                raise refused(
                    f"stage {number} leaves nothing of a map of {stage.in_height} x {stage.in_width}",
                    'Use padding="same", a smaller kernel, or one stage less',
                )
            if stage.normalised and stage.places == 1:
                raise refused(
                    f"the BatchNorm of stage {number} sees maps of one value, and a batch of one image has no variance",
                    "Leave it out, or use one stage less",
                )

    @property
    def n_classes(self) -> int:
        """Width of the last layer."""
        return self.hidden[-1].n_out

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The convolutions, in order."""
        if not isinstance(self.input, Pixels):
            return ()
        height, width, channels = self.input.height, self.input.width, self.input.channels
        found: list[Stage] = []
        for place, layer in enumerate(self.layers):
            if isinstance(layer, Convolution):
                after = [type(one) for one in self.layers[place + 1 : place + 3]]
                least = 0 if found else SMALLEST_SIDE
                stage = _stage(layer, (height, width, channels), least, BatchNorm in after, MaxPool in after)
                height, width, channels = stage.height, stage.width, stage.maps
                found.append(stage)
        return tuple(found)

    @property
    def n_features(self) -> int:
        """Inputs of the first fully connected layer."""
        if isinstance(self.input, Columns):
            periodic = PERIODIC_OUTPUTS * self.input.numbers if self.has(Periodic) else 0
            embedded = sum(self.embedding_width for _ in self.embedded_columns)
            return self.input.numbers + periodic + embedded + sum(self.input.codes[j] for j in self.indicator_columns)
        last = self.stages[-1]
        return last.height * last.width * last.maps

    @property
    def embedding_width(self) -> int:
        """Numbers that a code of an embedded column stands for; 0 without an `Embedding`."""
        return next((layer.width for layer in self.layers if isinstance(layer, Embedding)), 0)

    @property
    def embedded_columns(self) -> tuple[int, ...]:
        """Category columns that are looked up in a table."""
        above = next((layer.above for layer in self.layers if isinstance(layer, Embedding)), None)
        codes = self.input.codes if isinstance(self.input, Columns) else ()
        return () if above is None else tuple(j for j, count in enumerate(codes) if count - 2 > above)

    @property
    def indicator_columns(self) -> tuple[int, ...]:
        """Category columns that have one input a code."""
        codes = self.input.codes if isinstance(self.input, Columns) else ()
        return tuple(j for j in range(len(codes)) if j not in self.embedded_columns)

    @property
    def hidden(self) -> tuple[Hidden, ...]:
        """The fully connected layers, the last one too, in order."""
        n_in, dropout = self.n_features, 0.0
        found: list[Hidden] = []
        for place, layer in enumerate(self.layers):
            if isinstance(layer, Dropout):
                dropout = layer.rate
            elif isinstance(layer, FullyConnected):
                after = self.layers[place + 1] if place + 1 < len(self.layers) else None
                activation = after if isinstance(after, Relu | Tanh | Sigmoid | Selu) else None
                found.append(Hidden(n_in, layer.width, activation, dropout, layer.ntk, layer.zero))
                n_in, dropout = layer.width, 0.0
        return tuple(found)

    def has(self, kind: type[Any]) -> bool:
        """Whether there is a layer of this kind."""
        return any(isinstance(layer, kind) for layer in self.layers)

    @property
    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """
        Shapes of all parameters, by name, in the order in which they are stored.

        ``stage1.weight`` is (kernel, kernel, in channels, maps); where a `BatchNorm` stands, ``stage1.factor`` and
        ``stage1.bias`` are its own, and ``stage1.mean`` and ``stage1.variance`` its running means, which are followed
        and not learned. ``dense1.weight`` is (outputs, inputs). The inputs of a table are, in order, its numbers; three
        sums of waves a number, the first number's three first; the embedded columns; one indicator a code of the other
        category columns. ``embedding2.weight`` (codes, width) belongs to the second category column.
        """
        shapes: dict[str, tuple[int, ...]] = {}
        for number, stage in enumerate(self.stages, start=1):
            shapes[f"stage{number}.weight"] = (stage.kernel, stage.kernel, stage.in_channels, stage.maps)
            shapes[f"stage{number}.bias"] = (stage.maps,)
            if stage.normalised:
                shapes |= {f"stage{number}.{name}": (stage.maps,) for name in ("factor", *STATISTICS)}
        if isinstance(self.input, Columns):
            if self.has(Periodic):
                numbers = self.input.numbers
                shapes["periodic.frequency"] = (numbers, PERIODIC_WAVES)
                shapes["periodic.phase"] = (numbers, PERIODIC_WAVES)
                shapes["periodic.weight"] = (numbers, PERIODIC_OUTPUTS, PERIODIC_WAVES)
                shapes["periodic.bias"] = (numbers, PERIODIC_OUTPUTS)
            for j in self.embedded_columns:
                shapes[f"embedding{j + 1}.weight"] = (self.input.codes[j], self.embedding_width)
            if self.has(Scale):
                shapes["scale.weight"] = (self.n_features,)
        for number, layer in enumerate(self.hidden, start=1):
            shapes[f"dense{number}.weight"] = (layer.n_out, layer.n_in)
            shapes[f"dense{number}.bias"] = (layer.n_out,)
        return shapes

    @property
    def n_parameters(self) -> int:
        """Numbers that are learned."""
        return sum(math.prod(shape) for name, shape in self.parameter_shapes.items() if not is_statistic(name))

    @property
    def needs_torch(self) -> bool:
        """Whether the native engine leaves it to PyTorch."""
        return needs_torch(self.input, self.layers)

    @property
    def multiplications(self) -> int:
        """Products of one example on its way to the logits."""
        waves = 0
        if isinstance(self.input, Columns) and self.has(Periodic):
            waves = self.input.numbers * PERIODIC_WAVES * (1 + PERIODIC_OUTPUTS)
        scaled = self.n_features if self.has(Scale) else 0
        linear = sum(layer.n_in * layer.n_out for layer in self.hidden)
        return sum(stage.multiplications for stage in self.stages) + waves + scaled + linear

    def without_dropout(self) -> Architecture:
        """Return the same network with no dropout."""
        return replace(self, layers=tuple(layer for layer in self.layers if not isinstance(layer, Dropout)))

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, for a JSON file."""
        return {"input": _plain(self.input), "layers": [_plain(layer) for layer in self.layers]}

    @classmethod
    def from_dict(cls, facts: dict[str, Any]) -> Architecture:
        """Return the architecture that `to_dict` described."""
        return cls(_value(facts["input"]), tuple(_value(layer) for layer in facts["layers"]))


def is_statistic(name: str) -> bool:
    """Return whether a parameter is a running mean, which no gradient moves."""
    return name.endswith(tuple(f".{statistic}" for statistic in STATISTICS))


def _plain(value: Any) -> dict[str, Any]:
    return {"kind": type(value).__name__, **value.__dict__}


def _value(facts: dict[str, Any]) -> Any:
    fields = {name: tuple(fact) if isinstance(fact, list) else fact for name, fact in facts.items() if name != "kind"}
    return _KINDS[facts["kind"]](**fields)


def _stage(layer: Convolution, size: tuple[int, int, int], least: int, normalised: bool, pooled: bool) -> Stage:
    height, width, channels = size
    same = (layer.kernel - 1) // 2 if layer.padding == "same" else 0
    tall, wide = max(0, least - height), max(0, least - width)
    pads = (same + tall // 2, same + wide // 2, same + tall - tall // 2, same + wide - wide // 2)
    step = 2 if pooled else 1
    out_height = (height + pads[0] + pads[2] - layer.kernel + 1) // step
    out_width = (width + pads[1] + pads[3] - layer.kernel + 1) // step
    return Stage(height, width, channels, pads, layer.kernel, layer.maps, out_height, out_width, normalised, pooled)
