"""What the compiled module holds. N rows, K classes; arrays in native byte order."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

_Floats: TypeAlias = npt.NDArray[Any]  # any shape and strides; float16, uint16 (bits of bfloat16), float32 or float64
_Mask: TypeAlias = npt.NDArray[np.bool_]
_Values: TypeAlias = npt.NDArray[np.float64]  # a number a row, in C order of the rows; two for states; (K,) for classes
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
def coordinate_descent(
    hessian: _Values,
    slope: _Values,
    weight: _Values,
    l1: _Values,
    ridge: _Values,
    most_sweeps: int,
    tolerance: float,
) -> tuple[int, bool]: ...
