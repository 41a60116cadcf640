"""Architectures that have a name, and those that follow from a list of widths."""

from __future__ import annotations

import math
from collections.abc import Sequence

from softclass.errors import OptionError, nearest
from softclass.networks.architecture import Architecture
from softclass.networks.layers import (
    Activation,
    BatchNorm,
    Columns,
    Convolution,
    Dropout,
    Embedding,
    Flatten,
    FullyConnected,
    Layer,
    MaxPool,
    Periodic,
    Pixels,
    Relu,
    Scale,
    Selu,
)

NATIVE_ARCHITECTURES = ("classic", "two", "two-hidden", "fast-digits")
DEEP_ARCHITECTURES = ("deep", "deep5")  # with PyTorch
IMAGE_ARCHITECTURES = NATIVE_ARCHITECTURES + DEEP_ARCHITECTURES
DROPOUT = 0.25
DEEP_MAPS, DEEP_SIDE = (32, 64, 128), 32
SMALL_SIDE = 16  # below it a second stage keeps the sides of its maps, or nothing would be left of them
REALMLP_WIDTHS, REALMLP_DROPOUT = (256, 256, 256), 0.15


def image_architecture(name: str, pixels: Pixels, n_classes: int, dropout: float | None = None) -> Architecture:
    """
    Return the network for images that has this name.

    Parameters
    ----------
    name : {"classic", "two", "two-hidden", "fast-digits", "deep", "deep5"}
        "classic": one convolution of 32 maps. "two": 32 and 64 maps. "two-hidden": the same with "same" padding and a
        hidden layer of 128. "fast-digits": 24 maps of 5 x 5, 32 maps, a hidden layer of 256. "deep": three stages with
        batch normalisation, of 32, 64 and 128 maps, and one more of 128 each time the smaller side doubles above 32;
        "deep5": the same with two convolutions in all stages but the first. Both need PyTorch.
    pixels : Pixels
        What comes in.
    n_classes : int
        Classes.
    dropout : float, optional
        Rate of the dropout in front of each fully connected layer; default 0 for "classic" and the deep ones, 0.25 for
        the others.

    Returns
    -------
    Architecture
        Where a side is below 16, all stages of networks of two stages have padding "same".

    Raises
    ------
    OptionError
        SC141, for another name.

    Examples
    --------
    >>> image_architecture("two", Pixels(28, 28), 10).n_parameters
    34826
    >>> image_architecture("deep", Pixels(28, 28), 10).n_parameters
    104426
    """
    padding = "same" if min(pixels.height, pixels.width) < SMALL_SIDE else "valid"
    rate = (0.0 if name in ("classic", *DEEP_ARCHITECTURES) else DROPOUT) if dropout is None else dropout
    drop = (Dropout(rate),) if rate else ()
    layers: tuple[Layer, ...]
    if name == "classic":
        layers = (*_stage(32, 3, "valid"), Flatten(), *drop)
    elif name == "two":
        layers = (*_stage(32, 3, padding), *_stage(64, 3, padding), Flatten(), *drop)
    elif name == "two-hidden":
        maps = (*_stage(32, 3, "same"), *_stage(64, 3, "same"), Flatten())
        layers = (*maps, *drop, FullyConnected(128), Relu(), *drop)
    elif name == "fast-digits":
        maps = (*_stage(24, 5, padding), *_stage(32, 3, padding), Flatten())
        layers = (*maps, *drop, FullyConnected(256), Relu(), *drop)
    elif name in DEEP_ARCHITECTURES:
        layers = (*_deep_stages(min(pixels.height, pixels.width), 2 if name == "deep5" else 1), Flatten(), *drop)
    else:
        meant = nearest(name, IMAGE_ARCHITECTURES)
        hint = f'Did you mean "{meant[0]}"' if meant else ""
        rule = f"`architecture` must be one of {', '.join(IMAGE_ARCHITECTURES)}; got {name!r}"
        raise OptionError("SC141", rule, where="Architecture", hint=hint)
    return Architecture(pixels, (*layers, FullyConnected(n_classes)))


def _stage(maps: int, kernel: int, padding: str) -> tuple[Layer, ...]:
    return (Convolution(maps, kernel, padding), MaxPool(), Relu())


def _deep_stages(side: int, depth: int) -> tuple[Layer, ...]:
    """Stages of images of a side; all but the first have so many convolutions."""
    stages = max(1, min(len(DEEP_MAPS), int(math.log2(max(side, 2)))))  # of small images nothing would be left
    maps = [*DEEP_MAPS[:stages], *[DEEP_MAPS[-1]] * int(math.log2(max(side, DEEP_SIDE) / DEEP_SIDE))]
    layers: list[Layer] = []
    for number, width in enumerate(maps):
        plain = depth - 1 if number else 0
        layers += [Convolution(width, 3, "same"), BatchNorm(), Relu()] * plain
        layers += [Convolution(width, 3, "same"), BatchNorm(), MaxPool(), Relu()]
    return tuple(layers)


def table_architecture(
    columns: Columns,
    n_classes: int,
    widths: Sequence[int],
    activation: Activation | None = None,
    dropout: float = 0.0,
    *,
    has_waves: bool = False,
) -> Architecture:
    """
    Return hidden layers of these widths; category columns of more than nine categories get an embedding.

    Parameters
    ----------
    columns : Columns
        What comes in.
    n_classes : int
        Classes.
    widths : sequence of int
        Hidden layers, one to four.
    activation : Relu, Tanh, Sigmoid or Selu, optional
        Of every hidden layer; default Relu.
    dropout : float, default 0
        Rate of the dropout behind each hidden layer.
    has_waves : bool, default False
        Whether each number is joined by sums of learned waves.

    Returns
    -------
    Architecture
        The network.

    Examples
    --------
    >>> table_architecture(Columns(26), 5, (100,)).n_parameters
    3205
    """
    drop = (Dropout(dropout),) if dropout else ()
    hidden = [layer for n in widths for layer in (FullyConnected(n), activation or Relu(), *drop)]
    waves = (Periodic(),) if has_waves and columns.numbers else ()
    return Architecture(columns, (*waves, *_embedding(columns), *hidden, FullyConnected(n_classes)))


def realmlp(columns: Columns, n_classes: int) -> Architecture:
    """
    Return the network of RealMLP-TD [1]_, with selu in the place of its parametric activation.

    Parameters
    ----------
    columns : Columns
        What comes in.
    n_classes : int
        Classes.

    Returns
    -------
    Architecture
        Waves of each number, embeddings, a factor an input, three hidden layers of 256 in neural tangent
        parametrisation, a last layer that starts at zero.

    References
    ----------
    .. [1] D. Holzmüller, L. Grinsztajn and I. Steinwart, "Better by default: strong pre-tuned MLPs and boosted trees on
       tabular data", NeurIPS 2024.

    Examples
    --------
    >>> [layer.n_out for layer in realmlp(Columns(26), 5).hidden]
    [256, 256, 256, 5]
    """
    waves = (Periodic(),) if columns.numbers else ()
    hidden = [
        layer for n in REALMLP_WIDTHS for layer in (FullyConnected(n, ntk=True), Selu(), Dropout(REALMLP_DROPOUT))
    ]
    last = FullyConnected(n_classes, ntk=True, zero=True)
    return Architecture(columns, (*waves, *_embedding(columns), Scale(), *hidden, last))


def _embedding(columns: Columns) -> tuple[Layer, ...]:
    return (Embedding(),) if any(count - 2 > Embedding().above for count in columns.codes) else ()
