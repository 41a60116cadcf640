"""Picks the twin of an array's library by name, so that no library is imported that is not in use already."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from softclass._arrays import library_of

TWINS = {"numpy": "_numpy", "torch": "_torch", "jax": "_jax", "other": "reference"}
_LOADED: dict[str, Any] = {}


def twin_of(array: object) -> Any:
    """Return the module with the functions for the library of the array."""
    library = "numpy" if type(array) is np.ndarray else library_of(array)
    if library == "torch":
        # A statement: `torch.compile` reads it, where import_module would break a first call inside compiled code.
        from softclass.functions import _torch

        return _torch
    found = _LOADED.get(library)
    if found is None:
        found = _LOADED[library] = import_module(f"softclass.functions.{TWINS[library]}")
    return found
