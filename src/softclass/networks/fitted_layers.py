"""A fitted network as the few layers that a model file holds: what training needs is folded into their weights.

Scales, factors of the neural tangent parametrisation and embeddings are linear, and so is what follows the waves of
`Periodic`: all of them become part of the first dense layer. So does the normalisation of a batch become part of its
convolution. Dropout leaves no trace.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from softclass.networks.architecture import Architecture, Dense, Stage
from softclass.networks.layers import Columns, Periodic, Scale

NORM_EPSILON = 1e-5  # added to the variance of a normalisation
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FittedConvolution:
    """A fitted convolution of stride 1, the largest value of each 2 x 2 window or not, relu.

    Attributes
    ----------
    weight : float64 array of shape (maps, in_channels, kernel, kernel)
        One filter a map.
    bias : float64 array of shape (maps,)
        Added to each map.
    pads : tuple of int
        Zeros above, left of, below and right of the image.
    pooled : bool
        Whether only the largest value of each window goes on.
    """

    weight: Float64
    bias: Float64
    pads: tuple[int, int, int, int]
    pooled: bool = True


@dataclass(frozen=True, eq=False)
class FittedWaves:
    """Waves that join the features: ``cos(frequency * features[:, place] + phase)``.

    Attributes
    ----------
    places : int64 array of shape (n_waves,)
        The feature of each wave.
    frequency, phase : float64 arrays of shape (n_waves,)
        In radians.
    """

    places: npt.NDArray[np.int64]
    frequency: Float64
    phase: Float64


FittedLayer: TypeAlias = Dense | FittedConvolution | FittedWaves


def fitted_layers(
    architecture: Architecture,
    parameters: Mapping[str, npt.NDArray[Any]],
    *,
    numbers: Sequence[int] = (),
    indicators: Sequence[int] = (),
    n_features: int = 0,
) -> tuple[FittedLayer, ...]:
    """
    Return the layers that give the same logits from features as the network from its own input.

    Parameters
    ----------
    architecture : Architecture
        The network.
    parameters : mapping of str to array
        Under the names and in the shapes of `Architecture.parameter_shapes`.
    numbers : sequence of int
        Of a table, the feature that each number of a row is.
    indicators : sequence of int
        Of a table, the feature of the first code of each category column; the other codes follow it.
    n_features : int
        Of a table, the features there are: numbers, and one indicator for each code of a category column.

    Returns
    -------
    tuple of Dense, FittedConvolution or FittedWaves
        The first dense layer of a table takes the features, then the waves; that of images the maps in the order map,
        row, column.

    Examples
    --------
    >>> from softclass.networks.known_architectures import table_architecture
    >>> network = table_architecture(Columns(1, (3,)), 2, (1,))
    >>> made = {"dense1.weight": np.array([[5.0, 0.0, 1.0, 2.0]]), "dense1.bias": np.zeros(1),
    ...         "dense2.weight": np.ones((2, 1)), "dense2.bias": np.zeros(2)}
    >>> first, last = fitted_layers(network, made, numbers=[3], indicators=[0], n_features=4)
    >>> first.weight.tolist(), first.activation, last.activation
    ([[0.0, 1.0, 2.0, 5.0]], 'relu', '')
    """
    exact = {name: np.asarray(values, dtype=np.float64) for name, values in parameters.items()}
    convolutions = [_convolution(f"stage{n}", stage, exact) for n, stage in enumerate(architecture.stages, start=1)]
    dense: list[Dense] = []
    for number, layer in enumerate(architecture.hidden, start=1):
        weight, bias = exact[f"dense{number}.weight"], exact[f"dense{number}.bias"]
        if layer.ntk:
            weight = weight / math.sqrt(layer.n_in)
        activation = "" if layer.activation is None else type(layer.activation).__name__.lower()
        dense.append(Dense(weight, bias, activation))
    if isinstance(architecture.input, Columns):
        waves, dense[0] = _of_table(architecture, exact, dense[0], list(numbers), list(indicators), n_features)
        return (*waves, *dense)
    last = architecture.stages[-1]
    maps_last = dense[0].weight.reshape(len(dense[0].weight), last.height, last.width, last.maps)
    by_map = maps_last.transpose(0, 3, 1, 2).reshape(len(maps_last), -1)  # the order of the graph's Flatten
    dense[0] = Dense(by_map, dense[0].bias, dense[0].activation)
    return (*convolutions, *dense)


def n_fitted_parameters(architecture: Architecture, n_features: int = 0) -> int:
    """
    Return how many weights and biases `fitted_layers` gives, which may be more or fewer than are trained.

    Parameters
    ----------
    architecture : Architecture
        The network.
    n_features : int
        Of a table, as in `fitted_layers`.

    Examples
    --------
    >>> from softclass.networks.known_architectures import table_architecture
    >>> n_fitted_parameters(table_architecture(Columns(1, (3,)), 2, (1,)), 4)
    9
    """
    sizes = {name: math.prod(shape) for name, shape in architecture.parameter_shapes.items()}
    layers = {name: size for name, size in sizes.items() if name.startswith(("stage", "dense"))}
    found = sum(size for name, size in layers.items() if name.endswith((".weight", ".bias")))
    if not isinstance(architecture.input, Columns):
        return found
    n_waves = sizes.get("periodic.frequency", 0)
    on_features = architecture.hidden[0].n_out * (n_features + n_waves)
    return found - layers["dense1.weight"] + on_features + 2 * n_waves


def _convolution(name: str, stage: Stage, exact: dict[str, Float64]) -> FittedConvolution:
    """Return a convolution with its normalisation, if there is one, in its weights."""
    weight, bias = exact[f"{name}.weight"].transpose(3, 2, 0, 1), exact[f"{name}.bias"]
    if stage.normalised:
        factor = exact[f"{name}.factor"] / np.sqrt(exact[f"{name}.variance"] + NORM_EPSILON)
        weight, bias = weight * factor[:, None, None, None], bias - exact[f"{name}.mean"] * factor
    return FittedConvolution(weight.copy(), bias, stage.pads, stage.pooled)


def _of_table(
    architecture: Architecture,
    exact: dict[str, Float64],
    first: Dense,
    numbers: list[int],
    indicators: list[int],
    n_features: int,
) -> tuple[list[FittedWaves], Dense]:
    """Return the waves, and the first layer on features and waves."""
    assert isinstance(architecture.input, Columns)  # noqa: S101 - the caller looked
    weight, bias = first.weight, first.bias
    if architecture.has(Scale):
        weight = weight * exact["scale.weight"]
    n_numbers, codes = architecture.input.numbers, architecture.input.codes
    on_features = np.zeros((len(weight), n_features))
    on_features[:, numbers] = weight[:, :n_numbers]
    place = n_numbers
    waves: list[FittedWaves] = []
    on_waves = np.zeros((len(weight), 0))
    if architecture.has(Periodic):
        sums = exact["periodic.weight"]  # (numbers, sums, waves)
        place += n_numbers * sums.shape[1]
        from_sums = weight[:, n_numbers:place].reshape(len(weight), n_numbers, sums.shape[1])
        on_waves = np.einsum("hjo,jok->hjk", from_sums, sums).reshape(len(weight), -1)
        bias = bias + np.einsum("hjo,jo->h", from_sums, exact["periodic.bias"])
        places = np.repeat(np.array(numbers, dtype=np.int64), sums.shape[2])
        frequency = 2 * np.pi * exact["periodic.frequency"].reshape(-1)
        waves.append(FittedWaves(places, frequency, exact["periodic.phase"].reshape(-1)))
    for j in architecture.embedded_columns:
        table = exact[f"embedding{j + 1}.weight"]  # (codes, width)
        width = table.shape[1]
        on_features[:, indicators[j] : indicators[j] + codes[j]] = weight[:, place : place + width] @ table.T
        place += width
    for j in architecture.indicator_columns:
        on_features[:, indicators[j] : indicators[j] + codes[j]] = weight[:, place : place + codes[j]]
        place += codes[j]
    return waves, Dense(np.concatenate([on_features, on_waves], axis=1), bias, first.activation)
