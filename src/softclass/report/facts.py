"""What a report is made of: plain facts, gathered by whoever knows the model and the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from softclass.trust.evaluation import Evaluation
from softclass.trust.temperature import Temperature


@dataclass(frozen=True)
class ColumnFacts:
    """One column as the model sees it.

    Attributes
    ----------
    name : str
        Name in the user's file.
    kind : {"number", "boolean", "datetime", "category"}
        What it holds.
    values : str
        Range or categories, for people: ``"32.1 … 59.6"``, ``"Biscoe, Dream, Torgersen"``.
    missing : int
        Missing cells in the fit part.
    filled : str
        What fills them: ``"44.5"``; empty when nothing does.
    """

    name: str
    kind: str
    values: str = ""
    missing: int = 0
    filled: str = ""


@dataclass(frozen=True)
class DroppedColumn:
    """A column that was left out.

    Attributes
    ----------
    name : str
        Name in the user's file.
    reason : str
        Why, in a sentence.
    """

    name: str
    reason: str


@dataclass(frozen=True)
class WorstRow:
    """A row that the model got wrong with confidence.

    Attributes
    ----------
    place : str
        ``"line 812"``, ``"row 812"`` or a file name.
    true, predicted : str
        Classes.
    confidence, loss : float
        Probability of the predicted class; log loss of the row in nats.
    cells : mapping of str to str, optional
        What the row holds, a table's.
    thumbnail_png : bytes, optional
        What the row looks like, an image's (`thumbnails.thumbnail_png`).
    """

    place: str
    true: str
    predicted: str
    confidence: float
    loss: float
    cells: Mapping[str, str] | None = None
    thumbnail_png: bytes | None = None


@dataclass(frozen=True, eq=False)
class CoefficientTable:
    """Weights of a table's features.

    Attributes
    ----------
    feature_names : sequence of str
        One a feature.
    weight : float array of shape (n_classes, n_features)
        On standardised features.
    """

    feature_names: Sequence[str]
    weight: npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class WeightPictures:
    """Weights of pixels.

    Attributes
    ----------
    height, width, channels : int
        Size of the images.
    weight : float array of shape (n_classes, height * width * channels)
        In the order height, width, channel.
    """

    height: int
    width: int
    channels: int
    weight: npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class ReportFacts:
    """Everything that a report shows.

    Attributes
    ----------
    title : str
        Name of the data, ``"penguins.csv"``.
    task : {"table", "images"}
        What a row is.
    classes : sequence of str
        Names, in the order of the probabilities.
    evaluation : Evaluation or None
        None when nothing was held out.
    split_name : str
        The part it stands on, ``"test"``; any other word is shown as it is.
    created_with : str
        ``"softclass 0.1.0"``.
    model : str
        What was fitted, ``"softmax regression"``.
    target : str or None
        Column that holds the class.
    n_rows : int or None
        Rows or images in all.
    class_counts : mapping of str to int
        Rows of each class in all.
    image : (height, width, channels) or None
        Size that the images have in the model.
    columns, dropped : sequence
        What was used and what was not.
    notes : sequence of mapping
        As `Note.to_dict` gives them: code, column, count, message.
    parts : mapping
        ``fit``, ``calibration``, ``test`` row counts; ``stratified``, ``seed``, ``own_test``,
        ``own_calibration``, ``group``, ``time``.
    temperature : Temperature or None
        What was done to the logits.
    worst : sequence of WorstRow
        Most confidently wrong first.
    coefficients : CoefficientTable, WeightPictures or None
        What the model learnt.
    facts : sequence of (str, str)
        How it was made: name and value, the last section.
    """

    title: str
    task: str
    classes: Sequence[str]
    evaluation: Evaluation | None
    split_name: str = "test"
    created_with: str = "softclass"
    model: str = "softmax regression"
    target: str | None = None
    n_rows: int | None = None
    class_counts: Mapping[str, int] = field(default_factory=dict)
    image: tuple[int, int, int] | None = None
    columns: Sequence[ColumnFacts] = ()
    dropped: Sequence[DroppedColumn] = ()
    notes: Sequence[Mapping[str, Any]] = ()
    parts: Mapping[str, Any] = field(default_factory=dict)
    temperature: Temperature | None = None
    worst: Sequence[WorstRow] = ()
    coefficients: CoefficientTable | WeightPictures | None = None
    facts: Sequence[tuple[str, str]] = ()
