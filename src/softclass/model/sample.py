"""A few made-up rows and what the model says about them, so that any machine can check that it computes the same."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from softclass._typing import Columns, Pixels
from softclass.data.image_set import ImageSpec
from softclass.data.pixels import Constants, PixelPreprocessing
from softclass.data.preprocessing import BooleanStep, CategoryStep, Step
from softclass.errors import CheckFailedError
from softclass.model.canonical import invalid
from softclass.model.session import Session

MAX_ROWS = 8
MAX_NUMBERS = 100_000  # in a sample of a table: columns and classes times rows
IMAGE_ROWS = 4
TOLERANCE = 1e-4
UNSEEN = "\N{REPLACEMENT CHARACTER}"  # a category that no column knows


@dataclass(frozen=True)
class Sample:
    """Made-up rows, never rows of the training data.

    Attributes
    ----------
    inputs : dict
        Graph input -> values, None where missing; for images ``{"image": {"noise": rows}}``, see :func:`noise`.
    probabilities : tuple of tuple of float
        One row a row.
    """

    inputs: Mapping[str, Any]
    probabilities: tuple[tuple[float, ...], ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the facts that the model file keeps."""
        return {"inputs": dict(self.inputs), "probabilities": [list(row) for row in self.probabilities]}

    def feeds(self, preprocessing: Constants, image: ImageSpec | None) -> dict[str, npt.NDArray[Any]]:
        """Return the inputs of the graph."""
        if isinstance(preprocessing, PixelPreprocessing):
            assert image is not None  # noqa: S101 - the manifest was checked
            return {"image": noise(int(self.inputs["image"]["noise"]), image)}
        columns: Columns = {}
        for step in preprocessing.steps:
            values = self.inputs[step.input]
            if isinstance(step, CategoryStep):
                columns[step.input] = np.array(values, dtype=object)
            else:
                columns[step.input] = np.array([math.nan if value is None else value for value in values], dtype=float)
        return preprocessing.feeds(columns)


def make_sample(preprocessing: Constants, session: Session, image: ImageSpec | None = None) -> Sample:
    """
    Make up rows from means and categories, or noise images, and run the model on them.

    Parameters
    ----------
    preprocessing : Preprocessing or PixelPreprocessing
        Where the means and categories come from.
    session : Session
        The model.
    image : ImageSpec, optional
        Size of the images.

    Returns
    -------
    Sample
        At most 8 rows.

    Examples
    --------
    >>> from softclass.data.preprocessing import NumberStep, Preprocessing
    >>> from softclass.model.graph import build_graph
    >>> from softclass.networks.architecture import Dense
    >>> preprocessing = Preprocessing((NumberStep("width", 3.0, 2.5, 0.5, False, 0),))
    >>> dense = Dense(weight=np.array([[1.0], [-1.0]]), bias=np.zeros(2))
    >>> sample = make_sample(preprocessing, Session(build_graph(preprocessing, [dense], ["broad", "slim"])))
    >>> sample.inputs["width"], sample.probabilities[0]
    ([2.5, None, 3.5, 2.0, 3.0, 1.5, 2.5, 3.5], (0.5, 0.5))
    """
    if isinstance(preprocessing, PixelPreprocessing):
        inputs: dict[str, Any] = {"image": {"noise": IMAGE_ROWS}}
    else:
        width = len(preprocessing.steps) + session.n_classes
        n_rows = max(1, min(MAX_ROWS, MAX_NUMBERS // width))
        inputs = {
            step.input: [_cell(step, row, place) for row in range(n_rows)]
            for place, step in enumerate(preprocessing.steps)
        }
    made = Sample(inputs, ())
    probabilities = session.run(made.feeds(preprocessing, image)).probabilities
    # The shortest decimals that name each float32 keep the facts small and readable.
    return Sample(inputs, tuple(tuple(float(str(value)) for value in row) for row in probabilities))


def check_sample(
    sample: Sample,
    session: Session,
    preprocessing: Constants,
    image: ImageSpec | None = None,
    *,
    where: str = "",
) -> None:
    """
    Refuse a machine on which the model gives other probabilities for its sample than where it was trained.

    Parameters
    ----------
    sample : Sample
        Of the model file.
    session : Session
        The model on this machine.
    preprocessing, image
        Of the model file.
    where : str
        What the message calls the file.

    Raises
    ------
    CheckFailedError
        SC502, if a probability differs by more than 1e-4.

    Examples
    --------
    >>> check_sample.__name__
    'check_sample'
    """
    found = session.run(sample.feeds(preprocessing, image)).probabilities
    worst = float(np.max(np.abs(found - np.array(sample.probabilities, dtype=np.float32)), initial=0.0))
    if not worst <= TOLERANCE:
        raise CheckFailedError(
            "SC502",
            f"the model must repeat the probabilities of its sample to {TOLERANCE}; they differ by {worst:.2g}",
            where=where,
            hint="onnxruntime computes otherwise on this machine: install another version of it",
        )


def noise(n_rows: int, image: ImageSpec) -> Pixels:
    """
    Return noise images that any language can make again.

    Value i of row r, counted in the order height, width, channel from 0, is the highest byte of
    ``(i + 1) * (2 r + 1) * 2654435769`` modulo 2^32.

    Parameters
    ----------
    n_rows : int
        How many.
    image : ImageSpec
        Their size.

    Returns
    -------
    uint8 array of shape (n_rows, height, width, channels)
        Always the same.

    Examples
    --------
    >>> noise(2, ImageSpec(1, 2, 1)).ravel().tolist()
    [158, 60, 218, 181]
    """
    places = np.arange(1, math.prod(image.shape) + 1, dtype=np.uint64)
    rows = np.arange(1, 2 * n_rows, 2, dtype=np.uint64)
    products = rows[:, np.newaxis] * places * np.uint64(2654435769)  # (rows, values), below 2^64
    values: Pixels = ((products >> np.uint64(24)) & np.uint64(255)).astype(np.uint8)
    return values.reshape(n_rows, *image.shape)


def read_sample(facts: Any, preprocessing: Constants, n_classes: int) -> Sample:
    """Return the sample that the facts hold, or refuse facts that do not fit the columns and classes."""
    where = "facts, sample"
    if not isinstance(facts, dict) or set(facts) != {"inputs", "probabilities"}:
        raise invalid('must have the keys "inputs" and "probabilities"', where)
    inputs, rows = facts["inputs"], facts["probabilities"]
    if not isinstance(inputs, dict) or not isinstance(rows, list) or not 1 <= len(rows) <= MAX_ROWS:
        raise invalid(f"must have 1 to {MAX_ROWS} rows", where)
    if not all(isinstance(row, list) and len(row) == n_classes and all(map(_is_share, row)) for row in rows):
        raise invalid("each row must have one probability a class", where)
    if isinstance(preprocessing, PixelPreprocessing):
        if inputs != {"image": {"noise": len(rows)}}:
            raise invalid("the images must be noise, as many as there are rows", where)
    else:
        names = {step.input for step in preprocessing.steps}
        if set(inputs) != names or not all(_fits(inputs[step.input], step, len(rows)) for step in preprocessing.steps):
            raise invalid("must have one value of the right kind for each column and row", where)
    return Sample(inputs, tuple(tuple(float(value) for value in row) for row in rows))


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _fits(values: Any, step: Step, n_rows: int) -> bool:
    if not isinstance(values, list) or len(values) != n_rows:
        return False
    if isinstance(step, CategoryStep):
        return all(isinstance(value, str) for value in values)
    return all(value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values)


def _cell(step: Step, row: int, place: int) -> Any:
    """Value of a made-up cell: row 0 is the average row, row 1 has nothing, the others vary."""
    if isinstance(step, CategoryStep):
        texts = [*step.categories, "", UNSEEN]
        return "" if row == 1 else texts[(0 if row == 0 else row + place) % len(texts)]
    if row == 1:
        return None
    if isinstance(step, BooleanStep):
        return float((row + place + 1) % 2)
    value = step.mean + (0.0 if row == 0 else (7 * row + 3 * place) % 5 - 2.0) * step.scale
    return value if math.isfinite(value) else step.mean
