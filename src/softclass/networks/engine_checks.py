"""What every engine refuses, in the same words."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping

from softclass.errors import MissingExtraError, OptionError, ShapeError
from softclass.networks.architecture import Architecture
from softclass.networks.engine import Float32


def check_smoothing(label_smoothing: float, where: str) -> None:
    """Raise SC141 unless the share of every target that is spread over the classes lies in [0, 1)."""
    if not 0 <= label_smoothing < 1:
        rule = f"`label_smoothing` must be a number in [0, 1); got {label_smoothing!r}"
        raise OptionError("SC141", rule, where=where)


def check_is_native(architecture: Architecture, where: str) -> None:
    """Raise SC141 for an architecture that only PyTorch trains."""
    if architecture.needs_torch:
        rule = "batch normalisation, stages without a pool, a third stage and sides above 96 need PyTorch"
        raise OptionError("SC141", rule, where=where, hint="Train with TorchEngine")


def check_torch(what: str, where: str) -> None:
    """Raise SC601 if PyTorch, which trains `what`, is not installed; it is not imported for that."""
    if importlib.util.find_spec("torch") is None:
        rule = f"{what} is trained by PyTorch; PyTorch is not installed"
        raise MissingExtraError("SC601", rule, where=where, hint="Install it: pip install 'softclass[torch]'")


def check_parameters(architecture: Architecture, values: Mapping[str, Float32], where: str) -> None:
    """Raise SC101 if a part of a state lacks a parameter of the architecture, or has one of another shape."""
    expected, shapes = architecture.parameter_shapes, {name: value.shape for name, value in values.items()}
    if shapes != expected:
        raise ShapeError("SC101", f"a state must have the parameters {expected}; got {shapes}", where=where)
