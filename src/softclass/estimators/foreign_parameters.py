"""Parameters of scikit-learn's LogisticRegression that do not exist here, and what to do instead."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, TypeVar

from softclass.errors import ParameterError

INSTEAD = {
    "penalty": "The penalty follows from numbers: C=numpy.inf for none, l1_ratio=0 for L2, l1_ratio=1 for L1",
    "solver": "Leave it out: the solver is chosen by the size of the problem, and solver_ says which",
    "dual": "Leave it out: the answer is the same, and gap_ bounds its distance from the optimum",
    "intercept_scaling": "Leave it out: the intercept is not penalised",
    "multi_class": "Leave it out: the loss is that of the softmax; for one model a class there is"
    " sklearn.multiclass.OneVsRestClassifier",
}

Init = TypeVar("Init", bound=Callable[..., None])


def refuse(estimator: object, names: Iterable[str]) -> None:
    """Raise a ParameterError for the first name that only scikit-learn knows."""
    for name in names:
        if name in INSTEAD:
            raise ParameterError(
                "SC143", f"`{name}` is no parameter here", where=type(estimator).__name__, hint=INSTEAD[name]
            )


def refusing(init: Init) -> Init:
    """Let a constructor say what to do instead, with its own signature unchanged."""

    @wraps(init)
    def checked(self: object, *args: Any, **kwargs: Any) -> None:
        refuse(self, kwargs)
        init(self, *args, **kwargs)

    return checked  # type: ignore[return-value]
