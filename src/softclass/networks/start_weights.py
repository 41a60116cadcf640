"""Start weights: a function of architecture and seed alone, the same on every machine and in every engine.

Element i of a parameter has its own draw, so padding, layout and threads cannot move it. Logarithms and waves behind
the normal numbers are sums of products written here: those of a library may differ in the last digit between machines.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from softclass.networks.architecture import Architecture
from softclass.networks.augmentation import Words, philox
from softclass.networks.engine import EngineState, Float32

START_STREAM = 0
WAVE_FREQUENCY = 0.1  # standard deviation of the start frequencies
WAVE_WEIGHT = 0.25  # bound of the start weights of sums of waves
_Float64 = npt.NDArray[np.float64]


def start_weights(architecture: Architecture, seed: int) -> dict[str, Float32]:
    """
    Return the parameters a network starts from.

    Parameters
    ----------
    architecture : Architecture
        The network.
    seed : int
        Key of the draws, in [0, 2**64).

    Returns
    -------
    dict of float32 arrays
        Under the names and in the shapes of `Architecture.parameter_shapes`. Weights and biases of plain layers are
        uniform within ``1 / sqrt(inputs of a unit)``; those of the neural tangent parametrisation are standard normal.
        A `BatchNorm` starts with factors and variances of one, biases and means of zero.

    Examples
    --------
    >>> from softclass.networks.layers import Columns, FullyConnected, Relu
    >>> network = Architecture(Columns(4), (FullyConnected(8), Relu(), FullyConnected(3)))
    >>> start_weights(network, 0)["dense1.weight"].shape
    (8, 4)
    """
    return {
        name: _start(architecture, seed, tensor, name, shape)
        for tensor, (name, shape) in enumerate(architecture.parameter_shapes.items())
    }


def start_state(architecture: Architecture, seed: int) -> EngineState:
    """Return the state an engine starts from: start weights, and moments of zero."""
    none = {name: np.zeros(shape, np.float32) for name, shape in architecture.parameter_shapes.items()}
    return EngineState(start_weights(architecture, seed), none, none, 0, 1.0, 1.0)


def _start(architecture: Architecture, seed: int, tensor: int, name: str, shape: tuple[int, ...]) -> Float32:
    layer, what = name.split(".")
    if layer == "scale":
        return np.ones(shape, dtype=np.float32)
    if layer == "periodic" and what != "frequency":
        bound = math.pi if what == "phase" else WAVE_WEIGHT
        return _uniform(seed, tensor, shape, bound)
    if layer == "periodic":
        return (WAVE_FREQUENCY * _normal(seed, tensor, shape)).astype(np.float32)
    if layer.startswith("embedding"):
        return _normal(seed, tensor, shape).astype(np.float32)
    if layer.startswith("stage"):
        stage = architecture.stages[int(layer.removeprefix("stage")) - 1]
        if stage.normalised and what != "weight":
            return np.full(shape, what in ("factor", "variance"), dtype=np.float32)
        return _uniform(seed, tensor, shape, 1 / math.sqrt(stage.kernel**2 * stage.in_channels))
    dense = architecture.hidden[int(layer.removeprefix("dense")) - 1]
    if dense.zero:
        return np.zeros(shape, dtype=np.float32)
    if dense.ntk:
        return _normal(seed, tensor, shape).astype(np.float32)
    return _uniform(seed, tensor, shape, 1 / math.sqrt(dense.n_in))


def _words(seed: int, tensor: int, count: int) -> Words:
    """Return at least so many words of a tensor, a whole number of blocks."""
    return philox(seed, np.arange(-(-count // 4)), tensor, 0, START_STREAM)


def _uniform(seed: int, tensor: int, shape: tuple[int, ...], bound: float) -> Float32:
    """Element i comes from word i: the upper 24 bits, in [-bound, bound)."""
    words = _words(seed, tensor, math.prod(shape)).reshape(-1)[: math.prod(shape)]
    share = (words >> np.uint32(8)).astype(np.float64) * 2.0**-24
    return (bound * (2 * share - 1)).astype(np.float32).reshape(shape)


def _normal(seed: int, tensor: int, shape: tuple[int, ...]) -> _Float64:
    """Elements 2i and 2i + 1 come from words 2i and 2i + 1 (Box and Muller, 1958)."""
    count = math.prod(shape)
    pairs = (_words(seed, tensor, count).reshape(-1, 2) >> np.uint32(8)).astype(np.float64) * 2.0**-24
    length = np.sqrt(-2 * _log(1 - pairs[:, 0]))
    cosine, sine = _circle(pairs[:, 1])
    return np.stack([length * cosine, length * sine], axis=-1).reshape(-1)[:count].reshape(shape)


def _log(x: _Float64) -> _Float64:
    """Return the natural logarithm of positive numbers: 2 atanh of (m - 1) / (m + 1), x = m 2**e, m near 1."""
    mantissa, exponent = np.frexp(x)
    small = mantissa < math.sqrt(0.5)
    mantissa, exponent = np.where(small, 2 * mantissa, mantissa), exponent - small
    ratio = (mantissa - 1) / (mantissa + 1)
    square, series = ratio * ratio, np.zeros_like(ratio)
    for power in range(21, 0, -2):
        series = series * square + 1 / power
    result: _Float64 = 2 * ratio * series + exponent * math.log(2)
    return result


def _circle(turns: _Float64) -> tuple[_Float64, _Float64]:
    """Return cosine and sine of 2π times numbers in [0, 1): by Taylor, of half the angle."""
    half = math.pi * (turns - np.rint(turns))
    square = half * half
    sine, cosine = np.ones_like(half), np.ones_like(half)
    for n in range(11, 0, -1):
        sine = 1 - square * sine / ((2 * n) * (2 * n + 1))
        cosine = 1 - square * cosine / ((2 * n - 1) * (2 * n))
    sine *= half
    return 1 - 2 * sine * sine, 2 * sine * cosine
