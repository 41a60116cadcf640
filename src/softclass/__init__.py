"""softclass: from a table or a folder of images to class probabilities you can trust.

Every public name stands here with the module it lives in; all load on first use, so that ``import softclass`` costs
nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import errors as errors
    from .estimators.regularization_path import Path as Path
    from .estimators.regularization_path import regularization_path as regularization_path
    from .estimators.softmax_cnn import SoftmaxCNN as SoftmaxCNN
    from .estimators.softmax_mlp import SoftmaxMLP as SoftmaxMLP
    from .estimators.softmax_regression import SoftmaxRegression as SoftmaxRegression
    from .estimators.softmax_regression_cv import SoftmaxRegressionCV as SoftmaxRegressionCV
    from .functions.cross_entropy import cross_entropy as cross_entropy
    from .functions.derivatives import LinearGradients as LinearGradients
    from .functions.derivatives import cross_entropy_hvp as cross_entropy_hvp
    from .functions.derivatives import cross_entropy_value_and_gradient as cross_entropy_value_and_gradient
    from .functions.derivatives import linear_cross_entropy_hvp as linear_cross_entropy_hvp
    from .functions.derivatives import (
        linear_cross_entropy_value_and_gradient as linear_cross_entropy_value_and_gradient,
    )
    from .functions.derivatives import softmax_jacobian as softmax_jacobian
    from .functions.derivatives import softmax_jvp as softmax_jvp
    from .functions.derivatives import softmax_vjp as softmax_vjp
    from .functions.last_layer import LastLayer as LastLayer
    from .functions.linear_cross_entropy import linear_cross_entropy as linear_cross_entropy
    from .functions.log_partition import LogPartition as LogPartition
    from .functions.softmax import log_softmax as log_softmax
    from .functions.softmax import logsumexp as logsumexp
    from .functions.softmax import softmax as softmax
    from .model.model import Model as Model
    from .model.model import load as load
    from .model.train import train as train
    from .trust.evaluation import Evaluation as Evaluation

__version__ = "0.1.0"

# The same names as above, for run time and for ``import *``; a test compares the lists.
_ROOM_OF = {
    "Evaluation": "trust.evaluation",
    "LinearGradients": "functions.derivatives",
    "LogPartition": "functions.log_partition",
    "Model": "model.model",
    "Path": "estimators.regularization_path",
    "SoftmaxCNN": "estimators.softmax_cnn",
    "SoftmaxMLP": "estimators.softmax_mlp",
    "SoftmaxRegression": "estimators.softmax_regression",
    "SoftmaxRegressionCV": "estimators.softmax_regression_cv",
    "cross_entropy": "functions.cross_entropy",
    "cross_entropy_hvp": "functions.derivatives",
    "cross_entropy_value_and_gradient": "functions.derivatives",
    "linear_cross_entropy": "functions.linear_cross_entropy",
    "linear_cross_entropy_hvp": "functions.derivatives",
    "linear_cross_entropy_value_and_gradient": "functions.derivatives",
    "load": "model.model",
    "log_softmax": "functions.softmax",
    "logsumexp": "functions.softmax",
    "regularization_path": "estimators.regularization_path",
    "softmax": "functions.softmax",
    "softmax_jacobian": "functions.derivatives",
    "softmax_jvp": "functions.derivatives",
    "softmax_vjp": "functions.derivatives",
    "train": "model.train",
}

# Names that need an extra: a star does not bring them, since that would load its library, or fail without it.
_EXTRA_ROOM_OF = {
    "LastLayer": "functions.last_layer",
}


__all__ = [
    "Evaluation",
    "LinearGradients",
    "LogPartition",
    "Model",
    "Path",
    "SoftmaxCNN",
    "SoftmaxMLP",
    "SoftmaxRegression",
    "SoftmaxRegressionCV",
    "cross_entropy",
    "cross_entropy_hvp",
    "cross_entropy_value_and_gradient",
    "errors",
    "linear_cross_entropy",
    "linear_cross_entropy_hvp",
    "linear_cross_entropy_value_and_gradient",
    "load",
    "log_softmax",
    "logsumexp",
    "regularization_path",
    "softmax",
    "softmax_jacobian",
    "softmax_jvp",
    "softmax_vjp",
    "train",
]


def __getattr__(name: str) -> object:
    room = _ROOM_OF.get(name) or _EXTRA_ROOM_OF.get(name)
    if room is not None:
        found = globals()[name] = getattr(import_module(f"{__name__}.{room}"), name)
        return found
    if name == "errors":
        return import_module(f"{__name__}.errors")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
