"""What the compiled module holds. N rows, K classes; arrays in native byte order."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

_Floats: TypeAlias = npt.NDArray[Any]  # any shape and strides; float16, uint16 (bits of bfloat16), float32 or float64
_Mask: TypeAlias = npt.NDArray[np.bool_]
_Values: TypeAlias = npt.NDArray[np.float64]  # a number a row, in C order of the rows; two for states; (K,) for classes
_Float32: TypeAlias = npt.NDArray[np.float32]
_Network: TypeAlias = object  # a capsule
_Tensor: TypeAlias = tuple[str, tuple[int, ...], tuple[int, ...], int]  # name, shape, strides and place in floats
_Targets: TypeAlias = npt.NDArray[Any]  # int64, an index a row in C order; or distributions: _Floats of the whole shape

def target() -> str: ...
def targets() -> tuple[str, ...]: ...
def set_target(name: str) -> None: ...
def refused_wish() -> str | None: ...
def thread_count() -> int: ...
def set_thread_count(count: int) -> None: ...
def softmax(
    logits: _Floats,
    out: _Floats,
    axes: int | tuple[int, ...],
    temperature: float,
    where: _Mask | None = None,
    threads: int = 0,
) -> None: ...
def log_softmax(
    logits: _Floats,
    out: _Floats,
    axes: int | tuple[int, ...],
    temperature: float,
    where: _Mask | None = None,
    threads: int = 0,
) -> None: ...
def logsumexp(
    logits: _Floats, out: _Floats, axes: int | tuple[int, ...], where: _Mask | None = None, threads: int = 0
) -> None: ...
def softmax_vjp(
    probabilities: _Floats,
    cotangent: _Floats,
    out: _Floats,
    axis: int | tuple[int, ...],
    factor: float,
    threads: int = 0,
) -> None: ...
def cross_entropy(
    logits: _Floats,
    targets: _Targets,
    axis: int,
    sample_weight: _Values | None,
    class_weight: _Values | None,
    ignore_index: int | None,
    label_smoothing: float,
    weight_scale: float,
    tolerance: float,
    losses: _Values | None,
    states: _Values | None,
    threads: int = 0,
) -> tuple[float, float, int, int]: ...
def cross_entropy_and_gradient(
    logits: _Floats,
    targets: _Targets,
    axis: int,
    sample_weight: _Values | None,
    class_weight: _Values | None,
    ignore_index: int | None,
    label_smoothing: float,
    weight_scale: float,
    tolerance: float,
    mean: bool,
    losses: _Values | None,
    gradient: _Floats,
    threads: int = 0,
) -> tuple[float, float, int, int]: ...
def cross_entropy_gradient(
    logits: _Floats,
    targets: _Targets,
    axis: int,
    sample_weight: _Values | None,
    class_weight: _Values | None,
    ignore_index: int | None,
    label_smoothing: float,
    weight_scale: float,
    states: _Values,
    upstream: _Values,
    divisor: float,
    gradient: _Floats,
    threads: int = 0,
) -> None: ...
def linear_cross_entropy(
    features: _Floats,  # (N, D), any strides
    weight: _Floats,  # (K, D), of the same dtype
    bias: _Floats | None,
    targets: npt.NDArray[Any],  # int64 (N,), or floats (N, K)
    sample_weight: _Values | None,
    class_weight: _Values | None,
    ignore_index: int | None,
    label_smoothing: float,
    weight_scale: float,
    tolerance: float,
    mean: bool,
    losses: _Values | None,
    weight_gradient: _Floats | None,  # gradients: C-contiguous, of the dtype of the features
    bias_gradient: _Floats | None,
    features_gradient: _Floats | None,
    threads: int = 0,
) -> tuple[float, float, int, int]: ...
def linear_cross_entropy_hvp(
    features: _Floats,
    weight: _Floats,
    bias: _Floats | None,
    weight_tangent: _Floats,
    bias_tangent: _Floats | None,
    targets: npt.NDArray[Any],
    sample_weight: _Values | None,
    class_weight: _Values | None,
    ignore_index: int | None,
    weight_scale: float,
    tolerance: float,
    mean: bool,
    weight_product: _Floats | None,
    bias_product: _Floats | None,
    threads: int = 0,
) -> tuple[float, float, int, int]: ...
def cholesky_solve(
    factors: _Floats,  # (K, n, n): lower triangles
    scale: _Values,  # (K, n): what rows and columns of the matrices were divided by
    right: _Values,  # (sides, K, n)
    solution: _Values,  # likewise
    threads: int = 0,
) -> None: ...
def coordinate_descent(
    hessian: _Values,
    slope: _Values,
    weight: _Values,
    l1: _Values,
    ridge: _Values,
    most_sweeps: int,
    tolerance: float,
) -> tuple[int, bool]: ...
def regression_chunk_rows(n_features: int) -> int: ...
def regression_hessian_numbers(n_outputs: int, n_features: int) -> int: ...
def regression_is_finite(features: npt.NDArray[Any], threads: int = 0) -> bool: ...
def regression_lengths(features: npt.NDArray[Any], lengths: _Values, threads: int = 0) -> None: ...
def regression_pass(
    features: npt.NDArray[Any],  # (N, D), float32 or float64, contiguous
    targets: npt.NDArray[np.int64],
    row_weights: _Values | None,
    weight: _Values,  # (R, D): one row for two classes
    bias: _Values,
    weight_tangent: _Values | None,  # a direction: the product with the Hessian instead of loss and gradient
    bias_tangent: _Values | None,
    lanes: _Values,  # (lanes, R (D + 1) + 2), added to: by weight, by bias, loss, smallest margin
    first_chunk: int,
    with_margin: bool,
    curvature: _Values | None,  # (N,): then nothing else is made
    threads: int = 0,
) -> None: ...
def regression_hessian(
    features: npt.NDArray[Any],
    targets: npt.NDArray[np.int64],
    row_weights: _Values | None,
    weight: _Values,
    bias: _Values,
    sums: _Values,  # (lanes, regression_hessian_numbers(R, D)), added to
    first_chunk: int,
    threads: int = 0,
) -> None: ...
def regression_hessian_join(
    sums: _Values,
    n_outputs: int,
    n_features: int,
    unit: float,  # times the sums
    penalty: _Values | None,  # (C,) on the diagonal of each class
    gauge: float,  # between the same column of any two classes
    hessian: _Values,  # (R C, R C), written; C = D + 1, or D: without bias
) -> None: ...
def regression_moments(
    features: npt.NDArray[Any],
    row_weights: _Values | None,
    shift: _Values,
    lanes: _Values,  # (lanes, 3 D + 1), merged into: mean, squares about it, largest absolute value; weight
    first_chunk: int,
    threads: int = 0,
) -> None: ...
def regression_scale(
    features: npt.NDArray[Any], shift: _Values, factor: _Values, out: npt.NDArray[Any], threads: int = 0
) -> None: ...
def regression_compact_numbers(n_features: int, n_outputs: int) -> int: ...
def regression_compact_make(
    features: npt.NDArray[Any],
    rest: _Values,
    factor: _Values,
    counts: npt.NDArray[np.int64] | None,
    row_starts: npt.NDArray[np.int64] | None,
    columns: npt.NDArray[np.uint16] | None,
    values: npt.NDArray[np.float32] | None,
    threads: int = 0,
) -> None: ...
def regression_compact_lengths(
    row_starts: npt.NDArray[np.int64],
    columns: npt.NDArray[np.uint16],
    values: npt.NDArray[np.float32],
    shift: _Values,  # (D,)
    lengths: _Values,  # (N,), written
    threads: int = 0,
) -> None: ...
def regression_compact_take(
    row_starts: npt.NDArray[np.int64],
    columns: npt.NDArray[np.uint16],
    values: npt.NDArray[np.float32],
    rows: npt.NDArray[np.int64],
    out_starts: npt.NDArray[np.int64],  # of the taken rows, from 0
    out_columns: npt.NDArray[np.uint16],
    out_values: npt.NDArray[np.float32],
    threads: int = 0,
) -> None: ...
def regression_compact_expand(
    row_starts: npt.NDArray[np.int64],
    columns: npt.NDArray[np.uint16],
    values: npt.NDArray[np.float32],
    base: npt.NDArray[np.float32],
    rows: npt.NDArray[np.int64],
    out: npt.NDArray[np.float32],
    threads: int = 0,
) -> None: ...
def regression_compact_pass(
    row_starts: npt.NDArray[np.int64],
    columns: npt.NDArray[np.uint16],
    values: npt.NDArray[np.float32],
    targets: npt.NDArray[np.int64],
    row_weights: _Values | None,
    weight: _Values,
    bias: _Values,
    weight_tangent: _Values | None,
    bias_tangent: _Values | None,
    sums: _Values | None,  # (regression_compact_numbers(D, R),), written; none where nothing is summed
    with_margin: bool,
    curvature: _Values | None,  # (N,): then nothing else is made
    chances: npt.NDArray[np.float32] | None,  # (R, N), the probabilities: then nothing else is made
    is_wide: bool = False,  # arithmetic in float64
    threads: int = 0,
) -> None: ...
def regression_compact_hessian(
    row_starts: npt.NDArray[np.int64],
    columns: npt.NDArray[np.uint16],
    values: npt.NDArray[np.float32],
    targets: npt.NDArray[np.int64],
    row_weights: _Values | None,
    weight: _Values,
    bias: _Values,
    shift: _Values,  # (D,): what an entry is more than the scaled number
    least: float,  # terms up to it are left out
    sums: _Values,  # (regression_hessian_numbers(R, D),), written
    is_wide: bool = False,  # arithmetic in float64
    threads: int = 0,
) -> None: ...
def regression_compact_grams(
    row_starts: npt.NDArray[np.int64],
    columns: npt.NDArray[np.uint16],
    values: npt.NDArray[np.float32],
    shares: npt.NDArray[np.float32],  # (R, N): what a row weighs in the matrix of a class
    shift: _Values,  # (D,): what an entry is more than the scaled number
    sums: _Values,  # (R, D + 1, D + 1), written
    threads: int = 0,
) -> None: ...
def sparse_regression_pass(
    row_starts: npt.NDArray[np.int64],  # (N + 1,)
    columns: npt.NDArray[np.int32],
    values: npt.NDArray[Any],  # float32 or float64, as all that is called Any here
    chunk_rows: int,
    chunk_starts: npt.NDArray[np.int64],  # (chunks + 1,)
    chunk_columns: npt.NDArray[np.int32],
    column_starts: npt.NDArray[np.int64],  # one longer
    column_rows: npt.NDArray[np.int32],
    column_values: npt.NDArray[Any],
    targets: npt.NDArray[np.int64],
    weights: _Values,  # of the rows
    n_classes: int,
    weight: npt.NDArray[Any],  # (D, step): a multiple of 16, zeros behind the last class
    bias: npt.NDArray[Any],  # (step,), minus infinity behind the last class
    weight_tangent: npt.NDArray[Any] | None,  # the product with the Hessian instead of loss and gradient
    bias_tangent: npt.NDArray[Any] | None,
    probabilities: npt.NDArray[Any] | None,  # (N, step): written with the gradient, read for the product
    weight_product: _Values,  # (D, step)
    bias_product: _Values,  # (step,)
    wants_margin: bool,
    is_clear: bool = False,  # weight_product holds zeros already
    threads: int = 0,
) -> tuple[float, float]: ...
def dual_ascent(
    order: npt.NDArray[np.int32],  # rows to visit
    row_starts: npt.NDArray[np.int64],  # (N + 1,)
    columns: npt.NDArray[np.int32],
    values: npt.NDArray[np.float32],  # in columns whose penalty is half the sum of the squared weights
    targets: npt.NDArray[np.int64],
    weights: _Values,  # of the rows
    curvatures: _Values,  # (N,): weight * (squared length + stiffness)
    stiffness: float,  # of the bias; 0: it stays
    centre: _Values,  # (step,): of the bias, -1e30 behind the last class
    weight: npt.NDArray[np.float32],  # (D, step): a multiple of 16
    logarithms: npt.NDArray[np.float32],  # (N, step): of the dual distributions
    pull: _Values,  # (step,): sum of weight * (one-hot target - distribution)
) -> tuple[float, float]: ...  # loss, and divergence of the distributions from the probabilities, as they were met
def sparse_regression_spread(
    theta: _Values,  # (D, R) or, with a bias, (D + 1, R): over (x - shift) * factor
    factor: _Values,
    shift: _Values,
    first: int,  # class of the pass that is the first of theta
    weight: npt.NDArray[Any],  # (D, step), written: over x
    bias: npt.NDArray[Any],  # (step,), written
    threads: int = 0,
) -> None: ...
def sparse_regression_gather(
    by_weight: _Values,  # (D, step): derivatives over x; in place (D + 1, step) if theta has a bias
    by_bias: _Values,  # (step,)
    theta: _Values,
    factor: _Values,
    shift: _Values,
    penalty: _Values,  # (D,)
    first: int,
    derivative: _Values | None,  # like theta, written: with the penalty, less the mean over the classes; None: in place
    threads: int = 0,
) -> float: ...
def mlp_network(
    numbers: int,
    codes: list[int],  # how many each category column has
    is_embedded: list[bool],  # of each category column
    embedding_width: int,
    has_waves: bool,
    has_scale: bool,
    is_ntk: bool,
    activation: str,
    widths: list[int],  # of all layers, the classes last
    dropout: list[float],  # of the inputs of all layers
) -> _Network: ...
def cnn_network(
    height: int,
    width: int,
    channels: int,
    subtract: list[float],  # a channel
    multiply: list[float],
    stages: list[tuple[int, int, int, int, int, int]],  # maps, kernel; zeros above, left, below, right
    hidden: list[int],
    dropout: list[float],  # of the inputs of all dense layers
    n_classes: int,
) -> _Network: ...
def network_facts(network: _Network) -> tuple[int, int, tuple[_Tensor, ...]]: ...  # sizes of parameters and derived
def network_lanes(network: _Network, batch_size: int) -> int: ...
def network_order(seed: int, epoch: int, order: npt.NDArray[np.int64]) -> None: ...  # written
def network_refresh(network: _Network, parameters: _Float32, derived: _Float32, threads: int = 0) -> None: ...
def network_train(
    network: _Network,
    parameters: _Float32,
    first_moment: _Float32,
    second_moment: _Float32,
    lanes: _Float32,  # lanes times parameters: room for gradients, whose padding is zero
    derived: _Float32,
    n_updates: int,
    beta1_power: float,
    beta2_power: float,
    pixels: npt.NDArray[np.uint8] | None,  # (N, height, width, channels)
    numbers: _Float32 | None,  # (N, numbers)
    codes: npt.NDArray[np.int32] | None,  # (N, columns)
    targets: npt.NDArray[np.int32] | None,  # (N,)
    shares: _Float32 | None,  # (N, K), instead of targets
    weights: _Float32 | None,
    order: npt.NDArray[np.int64],  # rows of an epoch
    first_step: int,  # of the epoch
    last_step: int,
    batch_size: int,
    rates: _Values,  # one a step; so the next two
    decays: _Values,
    dropout: _Values,
    beta1: float,
    beta2: float,
    epsilon: float,
    label_smoothing: float,
    seed: int,
    epoch: int,
    flips: bool,
    shift: int,
    unknown_codes: float,
    micro_rows: int = 0,
    seconds: float = 0.05,
    threads: int = 0,
) -> tuple[int, float, float, float, float, bool, int, float, float]: ...
def network_logits(
    network: _Network,
    parameters: _Float32,
    derived: _Float32,
    pixels: npt.NDArray[np.uint8] | None,
    numbers: _Float32 | None,
    codes: npt.NDArray[np.int32] | None,
    indices: npt.NDArray[np.int64],
    logits: _Float32,  # (n, K), written
    threads: int = 0,
) -> None: ...
def network_gradient(
    network: _Network,
    parameters: _Float32,
    derived: _Float32,
    pixels: npt.NDArray[np.uint8] | None,
    numbers: _Float32 | None,
    codes: npt.NDArray[np.int32] | None,
    targets: npt.NDArray[np.int32] | None,
    shares: _Float32 | None,
    weights: _Float32 | None,
    indices: npt.NDArray[np.int64],
    label_smoothing: float,
    masks: list[npt.NDArray[np.uint8]],  # (n, width) a dropout layer, 1 = kept; or none
    micro_rows: int,
    lanes: _Float32,  # the first one holds the gradient afterwards
    threads: int = 0,
) -> tuple[float, float, float]: ...  # sums of weight times loss, of the weights, of the weights of hits
