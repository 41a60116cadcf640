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


@dataclass(frozen=True)
class FitFacts:
    """How near the weights are to the optimum, and who says so.

    Attributes
    ----------
    C : float
        Inverse strength of the penalty; infinite for none.
    objective : float
        Mean loss plus penalty, in nats per weighted row.
    gap : float or None
        Largest or estimated distance of the objective from its minimum.
    gap_kind : {"duality", "newton", "decrement", "none"}
        Where `gap` comes from: the first two are bounds, the third is an estimate.
    converged : bool
        Whether the solver met its test.
    passes, iterations : int
        Reads of all rows, and steps.
    solver : str
        Name of the regime.
    separation : str
        What tells the classes apart perfectly, in a sentence; empty if nothing is known to.
    streamed : bool
        Whether the rows were read from disk in blocks.
    l1_ratio : float
        Share of the absolute values of the weights in the penalty.
    weights, nonzero : int
        Weights of the fit, and how many of them are not zero.
    """

    C: float
    objective: float
    gap: float | None
    gap_kind: str
    converged: bool
    passes: int
    iterations: int
    solver: str
    separation: str = ""
    streamed: bool = False
    l1_ratio: float = 0.0
    weights: int = 0
    nonzero: int = 0


@dataclass(frozen=True)
class ChoiceFacts:
    """Which of two classifiers was kept, and what each was worth on rows that neither had seen.

    Attributes
    ----------
    is_network : bool
        Whether the network was kept.
    softmax, network : float
        Log losses in nats, each after its best single temperature.
    standard_error : float
        Of their difference.
    """

    is_network: bool
    softmax: float
    network: float
    standard_error: float


@dataclass(frozen=True, eq=False)
class NetworkFacts:
    """How a network was trained.

    Attributes
    ----------
    name : str
        Of its architecture.
    parameters, epochs, best_epoch, batch, validation : int
        Numbers that were learned; passes over the rows; the one that was kept; rows a step; rows that judged.
    train, judged : sequence of float
        Loss of each epoch on the rows it learned from, and on the others, after the best single temperature.
    filters : float array of shape (maps, channels, kernel, kernel), or None
        Of the first convolution.
    """

    name: str
    parameters: int
    epochs: int
    best_epoch: int
    batch: int
    validation: int
    train: Sequence[float] = ()
    judged: Sequence[float] = ()
    filters: npt.NDArray[np.floating[Any]] | None = None


@dataclass(frozen=True)
class PathFacts:
    """What other strengths of the penalty would have done.

    Attributes
    ----------
    C : sequence of float
        Strengths that were tried, ascending.
    log_loss, standard_error : sequence of float or None
        Mean loss on rows held out from the fit part, and its standard error; None where not finite or not tried.
    folds : int
        Parts that were held out, one after the other; 1 for a single one.
    held_out : int
        Rows held out, in all folds together.
    chosen : float
        C of the model.
    was_chosen : bool
        Whether these losses chose it.
    weight_C : sequence of float
        Strengths of the curves.
    weights : mapping of class to mapping of feature to sequence of float
        The strongest features of some classes, on standardised columns.
    weight_rows : int
        Rows that the curves were fitted on.
    weights_sampled : bool
        Whether these are not all rows of the fit part.
    l1_ratio : float
        Share of the absolute values in the penalty, the same for every C.
    """

    C: Sequence[float]
    log_loss: Sequence[float | None]
    standard_error: Sequence[float | None]
    folds: int
    held_out: int
    chosen: float
    was_chosen: bool
    weight_C: Sequence[float] = ()
    weights: Mapping[str, Mapping[str, Sequence[float]]] = field(default_factory=dict)
    weight_rows: int = 0
    weights_sampled: bool = False
    l1_ratio: float = 0.0


@dataclass(frozen=True)
class OddsRow:
    """The odds of one class against the reference class, by one column.

    Attributes
    ----------
    class_name, column : str
        Class and column.
    odds_ratio, low, high : float or None
        Factor of the odds for one more unit, with its confidence interval; None where there is none.
    p_value : float or None
        Of the test that the factor is 1.
    reason : {"", "separated", "infinite", "dependent", "constant", "weightless"} or text
        Why something is left blank; empty if nothing is.
    """

    class_name: str
    column: str
    odds_ratio: float | None
    low: float | None
    high: float | None
    p_value: float | None
    reason: str = ""


@dataclass(frozen=True)
class OddsTable:
    """Odds ratios of a fit without penalty.

    Attributes
    ----------
    reference : str
        Class that the others are compared with.
    coverage : float
        Of the intervals, such as 0.95.
    n : float
        Rows, or the sum of their weights.
    rows : sequence of OddsRow
        Class by class, in the order of the columns.
    against : mapping of column to category
        Category that the others of its column are compared with.
    """

    reference: str
    coverage: float
    n: float
    rows: Sequence[OddsRow]
    against: Mapping[str, str] = field(default_factory=dict)


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
        As `Note.to_dict` gives them: code, column, count, message; and `text`, the sentence without the other two.
    parts : mapping
        ``fit``, ``calibration``, ``test`` row counts; ``stratified``, ``seed``, ``own_test``,
        ``own_calibration``, ``group``, ``time``.
    temperature : Temperature or None
        What was done to the logits.
    worst : sequence of WorstRow
        Most confidently wrong first.
    coefficients : CoefficientTable, WeightPictures or None
        What the model learnt.
    fit : FitFacts or None
        How near the weights are to the optimum; None where only the model file is known.
    network : NetworkFacts or None
        How a network was trained.
    choice : ChoiceFacts or None
        What softmax regression and a network were worth, where both were tried.
    path : PathFacts or None
        Other strengths of the penalty, if they were asked for.
    odds : OddsTable or None
        Odds ratios, if they were asked for.
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
    fit: FitFacts | None = None
    network: NetworkFacts | None = None
    choice: ChoiceFacts | None = None
    path: PathFacts | None = None
    odds: OddsTable | None = None
    facts: Sequence[tuple[str, str]] = ()
