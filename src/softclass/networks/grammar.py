"""Which layers may follow which, and how large they may be: what the engines run, and nothing else."""

from __future__ import annotations

from softclass.errors import OptionError
from softclass.networks.layers import (
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

LARGEST_SIDE, MOST_CHANNELS, MOST_MAPS = 96, 4, 1024
MOST_STAGES, LARGEST_DEEP_SIDE, MOST_DEEP_STAGES = 2, 224, 16  # the latter two with PyTorch
MOST_WIDTH, MOST_CLASSES = 4096, 1000
MOST_CODES = 1002  # missing, other, and 1,000 categories
MOST_EMBEDDED = 64
KERNELS, PADDINGS = (3, 5), ("valid", "same")


def refused(rule: str, hint: str = "") -> OptionError:
    """Return the error of an architecture that no engine runs."""
    return OptionError("SC141", rule, where="Architecture", hint=hint)


def needs_torch(what: Input, layers: tuple[Layer, ...]) -> bool:
    """
    Return whether only the PyTorch engine runs a network that `check_architecture` lets pass.

    Examples
    --------
    >>> stage = (Convolution(8), MaxPool(), Relu())
    >>> [needs_torch(Pixels(28, 28), (*count * stage, Flatten(), FullyConnected(2))) for count in (2, 3)]
    [False, True]
    """
    if not isinstance(what, Pixels):
        return False
    counts = {kind: sum(isinstance(layer, kind) for layer in layers) for kind in (Convolution, MaxPool, BatchNorm)}
    is_large = max(what.height, what.width) > LARGEST_SIDE or counts[Convolution] > MOST_STAGES
    return is_large or counts[BatchNorm] > 0 or counts[MaxPool] < counts[Convolution]


def check_architecture(what: Input, layers: tuple[Layer, ...]) -> None:
    """Raise SC141 for what no engine runs, with the nearest that would do."""
    _check_input(what, LARGEST_DEEP_SIDE if any(isinstance(layer, BatchNorm) for layer in layers) else LARGEST_SIDE)
    if isinstance(what, Pixels):
        _check_image_layers(layers)
    else:
        _check_table_layers(layers, what)
    for layer in layers:
        _check_layer(layer)
    wide = [layer.width for layer in layers if isinstance(layer, FullyConnected)]
    for width in wide[:-1]:
        _check_range("FullyConnected: `width`", width, 1, MOST_WIDTH)
    _check_range("FullyConnected: `width` of the last layer", wide[-1], 2, MOST_CLASSES)


def _check_range(name: str, value: int, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise refused(f"{name} must be a whole number; got {value!r}")
    if not low <= value <= high:
        raise refused(
            f"{name} must lie in [{low}, {high}]; got {value}", f"The nearest is {min(max(value, low), high)}"
        )


def _check_input(what: Input, largest: int) -> None:
    if isinstance(what, Pixels):
        _check_range("Pixels: `height`", what.height, 1, largest)
        _check_range("Pixels: `width`", what.width, 1, largest)
        _check_range("Pixels: `channels`", what.channels, 1, MOST_CHANNELS)
    elif isinstance(what, Columns):
        _check_range("Columns: `numbers`", what.numbers, 0, 2**24)
        for count in what.codes:
            _check_range("Columns: `codes`", count, 2, MOST_CODES)
        if not what.numbers and not what.codes:
            raise refused("Columns: there must be a number or a category; got neither")
    else:
        raise refused(f"`input` must be Pixels or Columns; got {type(what).__name__}")


def _check_layer(layer: Layer) -> None:
    if isinstance(layer, Convolution):
        _check_range("Convolution: `maps`", layer.maps, 1, MOST_MAPS)
        _check_range("Convolution: `kernel`", layer.kernel, KERNELS[0], KERNELS[-1])
        if layer.kernel not in KERNELS:
            raise refused(f"Convolution: `kernel` must be 3 or 5; got {layer.kernel}", "The nearest is 3")
        if layer.padding not in PADDINGS:
            raise refused(f'Convolution: `padding` must be "valid" or "same"; got {layer.padding!r}')
    elif isinstance(layer, Dropout) and not 0 <= layer.rate < 1:
        raise refused(f"Dropout: `rate` must lie in [0, 1); got {layer.rate!r}")
    elif isinstance(layer, Embedding):
        _check_range("Embedding: `width`", layer.width, 1, MOST_EMBEDDED)
        _check_range("Embedding: `above`", layer.above, 0, MOST_CODES)


def _text(layers: tuple[Layer, ...]) -> str:
    return " ".join(type(layer).__name__ for layer in layers) or "no layer"


def _check_image_layers(layers: tuple[Layer, ...]) -> None:
    rest, stages, hidden = list(layers), 0, 0
    while length := _stage_length(rest):
        rest, stages = rest[length:], stages + 1
    if not 1 <= stages <= MOST_DEEP_STAGES or not rest or not isinstance(rest[0], Flatten):
        rule = (
            f"images need one to {MOST_DEEP_STAGES} times Convolution, BatchNorm (or not), MaxPool (or not), Relu, and"
            " then Flatten"
        )
        raise refused(f"{rule}; got {_text(layers)}")
    rest = _without_dropout(rest[1:])
    while [type(layer) for layer in rest[:2]] == [FullyConnected, Relu]:
        rest, hidden = _without_dropout(rest[2:]), hidden + 1
    if hidden > 2 or [type(layer) for layer in rest] != [FullyConnected]:
        rule = (
            "behind Flatten stand at most two times Dropout (or not), FullyConnected, Relu; then Dropout (or not) and a"
            " last FullyConnected"
        )
        raise refused(f"{rule}; got {_text(layers)}")
    if any(isinstance(layer, FullyConnected) and (layer.ntk or layer.zero) for layer in layers):
        raise refused("`ntk` and `zero` are for tables; got them for images")


def _stage_length(layers: list[Layer]) -> int:
    """Return how many layers the stage has that stands in front; 0 if none does."""
    kinds = [type(layer) for layer in layers[:4]]
    middles: tuple[list[type], ...] = ([], [BatchNorm], [MaxPool], [BatchNorm, MaxPool])
    return next((len(m) + 2 for m in middles if kinds[: len(m) + 2] == [Convolution, *m, Relu]), 0)


def _without_dropout(layers: list[Layer]) -> list[Layer]:
    return layers[1:] if layers and isinstance(layers[0], Dropout) else layers


def _check_table_layers(layers: tuple[Layer, ...], columns: Columns) -> None:
    rest, kinds = list(layers), []
    if rest and isinstance(rest[0], Periodic) and not columns.numbers:
        raise refused("Periodic needs numbers; got categories only")
    for kind in (Periodic, Embedding, Scale):
        rest = rest[1:] if rest and isinstance(rest[0], kind) else rest
    while len(rest) > 1 and isinstance(rest[0], FullyConnected) and isinstance(rest[1], Relu | Tanh | Sigmoid | Selu):
        kinds.append(type(rest[1]).__name__)
        rest = _without_dropout(rest[2:])
    if not 1 <= len(kinds) <= 4 or [type(layer) for layer in rest] != [FullyConnected]:
        rule = (
            "tables need Periodic, Embedding, Scale (each or not), one to four times FullyConnected, an activation,"
            " Dropout (or not), and a last FullyConnected"
        )
        raise refused(f"{rule}; got {_text(layers)}")
    if len(set(kinds)) > 1:
        raise refused(f"all activations must be the same; got {', '.join(kinds)}")
    if len({layer.ntk for layer in layers if isinstance(layer, FullyConnected)}) > 1:
        raise refused("`ntk` must be the same in every FullyConnected")
