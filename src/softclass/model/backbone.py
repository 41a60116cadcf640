"""A fitted image network without its last layer: what it makes of images becomes the features of a new last layer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from softclass.data.image_set import ImageSpec
from softclass.data.pixels import PixelPreprocessing
from softclass.errors import UsageError, shown
from softclass.model.layers import read_layers
from softclass.model.model import load
from softclass.model.session import Session
from softclass.model.wire import read_graph, with_outputs
from softclass.networks.architecture import Dense
from softclass.networks.fitted_layers import FittedLayer


@dataclass(frozen=True, eq=False)
class Backbone:
    """Layers that are kept as they are.

    Attributes
    ----------
    preprocessing : PixelPreprocessing
        With the constants of the images that they were fitted on.
    layers : tuple of FittedConvolution or Dense
        All but the last.
    image : ImageSpec
        Size of the images that they take.
    n_features : int
        Numbers that they make of an image.
    digest : str
        SHA-256 of the model file they come from.
    session : Session
        Runs them.
    value : str
        Name of what they make, in its graph.
    """

    preprocessing: PixelPreprocessing
    layers: tuple[FittedLayer, ...]
    image: ImageSpec
    n_features: int
    digest: str
    session: Session
    value: str

    def features(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """
        Return what the layers make of images.

        Parameters
        ----------
        pixels : uint8 array of shape (n, height, width, channels)
            Images of the size in `image`.

        Returns
        -------
        float32 array of shape (n, n_features)
            An image's numbers do not depend on the images beside it.
        """
        found = np.empty((len(pixels), self.n_features), dtype=np.float32)
        for first in range(0, len(pixels), self.session.block_rows):
            block = slice(first, first + self.session.block_rows)
            found[block] = self.session.run_all({"image": pixels[block]})[self.value]
        return found


def read_backbone(path: str | Path, *, threads: int | None = None) -> Backbone:
    """
    Return the layers of a softclass model of images that come before its last.

    Parameters
    ----------
    path : path
        Model file or run directory.
    threads : int, optional
        Of the runtime.

    Returns
    -------
    Backbone
        Ready to run.

    Raises
    ------
    UsageError
        SC207, if the model is one of a table, or has no layer before its last.
    PathError, ModelFileError
        As in `load`.
    """
    model = load(path, threads=threads)
    manifest = model.manifest
    constants = manifest.preprocessing()
    if not isinstance(constants, PixelPreprocessing):
        raise UsageError(
            "SC207", f'--backbone must name a model of images; "{shown(path)}" is one of a table', where="train"
        )
    *layers, last = read_layers(model.body, constants)
    if not layers or not isinstance(last, Dense):
        raise UsageError(
            "SC207", f'--backbone must have layers before its last; "{shown(path)}" is softmax regression',
            where="train", hint="Train a network of many images first, with --model cnn",
        )  # fmt: skip
    value = next(node.inputs[0] for node in reversed(read_graph(model.body).nodes) if node.operator == "Gemm")
    session = Session(with_outputs(model.body, [value]), threads=threads)
    spec = manifest.image_spec()
    return Backbone(constants, tuple(layers), spec, last.weight.shape[1], model.digest, session, value)
