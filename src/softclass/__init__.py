"""softclass: from a table or a folder of images to class probabilities you can trust.

Every public name stands here with the module it lives in; all load on first use, so that ``import softclass`` costs
nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import errors as errors
    from .estimators.softmax_regression import SoftmaxRegression as SoftmaxRegression
    from .functions.cross_entropy import cross_entropy as cross_entropy
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
    "Model": "model.model",
    "SoftmaxRegression": "estimators.softmax_regression",
    "cross_entropy": "functions.cross_entropy",
    "load": "model.model",
    "log_softmax": "functions.softmax",
    "logsumexp": "functions.softmax",
    "softmax": "functions.softmax",
    "train": "model.train",
}


__all__ = [
    "Evaluation",
    "Model",
    "SoftmaxRegression",
    "cross_entropy",
    "errors",
    "load",
    "log_softmax",
    "logsumexp",
    "softmax",
    "train",
]


def __getattr__(name: str) -> object:
    if name in _ROOM_OF:
        found = globals()[name] = getattr(import_module(f"{__name__}.{_ROOM_OF[name]}"), name)
        return found
    if name == "errors":
        return import_module(f"{__name__}.errors")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
