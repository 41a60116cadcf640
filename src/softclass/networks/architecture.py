"""What a network is, as pure data: frozen layers that carry their fitted arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Dense:
    """A fully connected layer: ``features @ weight.T + bias``.

    Attributes
    ----------
    weight : float64 array of shape (n_out, n_in)
        One row an output.
    bias : float64 array of shape (n_out,)
        Added to the product.
    """

    weight: npt.NDArray[np.float64]
    bias: npt.NDArray[np.float64]
