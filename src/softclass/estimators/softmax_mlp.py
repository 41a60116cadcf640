"""SoftmaxMLP: a table to class probabilities through hidden layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any, ClassVar

from sklearn.utils._param_validation import Interval, StrOptions

from softclass.errors import OptionError, UsageError
from softclass.estimators.network_classifier import SHARED_CONSTRAINTS, AbstractNetworkClassifier
from softclass.estimators.table_encoding import TableCells, TableEncoding, fit_encoding, read_cells, text_places
from softclass.networks.architecture import Architecture
from softclass.networks.engine import Plan, Rows
from softclass.networks.known_architectures import realmlp, table_architecture
from softclass.networks.layers import ACTIVATIONS
from softclass.networks.plans import table_dropout, table_plan, table_widths


class SoftmaxMLP(AbstractNetworkClassifier):
    r"""
    A fully connected network whose last layer is a softmax, for tables.

    Minimises the mean of :math:`a_i \ell_i`, where :math:`\ell_i` is the cross-entropy of row i and :math:`a_i` its
    sample weight times the weight of its class, by AdamW with one cycle of the learning rate, in compiled code. The
    epoch of the least validation log loss after a temperature is kept.

    Columns are taken as they come: numbers are scaled inside, gaps are filled and flagged, and columns of texts or
    categories of a frame are encoded. A category that was never seen counts as "other", whose weights are learned.

    Parameters
    ----------
    hidden_layer_sizes : "auto", "realmlp", int, sequence of int, or Architecture, default "auto"
        Widths of one to four hidden layers. "auto": (100,) below 10,000 rows, (256, 256) below a million, else
        (512, 512). "realmlp": the network of RealMLP-TD [1]_.
    activation : {"relu", "tanh", "sigmoid", "selu"}, default "relu"
        Behind each hidden layer.
    dropout : float or "auto", default "auto"
        Share of hidden numbers set to zero in training. "auto": 0, but 0.1 for networks larger than their data.
    numeric_embedding : "periodic" or None, default None
        Whether each number is joined by sums of learned waves.
    epochs : int or "auto", default "auto"
        Passes over the rows; by default 1.2 million rows in all, with more than one hidden layer at most 5,000 times
        the root of their number, in 3 to 100 passes.
    batch_size : int or "auto", default "auto"
        Rows a step; by default about a 100th of them, a power of two from 32 to 512.
    learning_rate : float or "auto", default "auto"
        Peak of the cycle; by default 0.015 for one hidden layer and 0.005 for more, times the root of batch / 128.
    weight_decay : float or "auto", default "auto"
        Decoupled, of AdamW; by default 0.02.
    class_weight : dict or "balanced", optional
        Weight of each class, by label; classes not named have 1. Weights shift the probabilities.
    validation_fraction : float, default 0.1
        Share of the rows, at most 5,000, that rank the epochs and are not learned from. Where they would be fewer than
        10 there are none, and the last epoch is kept.
    patience : int, "auto" or None, default "auto"
        Epochs without a better one after which the run ends; only for runs of at least 20 epochs. "auto": a third of
        them, all at least 5 % worse than the best. None: never.
    warm_start : bool, default False
        Whether `fit` goes on from the weights, moments and constants of the last fit.
    callbacks : sequence of callables, optional
        Each is given the row of history of every epoch; one that returns True ends the run.
    n_jobs : int, optional
        Most threads; -1 means all. No bit of the result depends on it.
    random_state : int, RandomState instance or None, default None
        Decides every draw. None means 0: fits repeat.
    verbose : int, default 0
        Whether to print a line an epoch to standard error.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
        Labels in sorted order, the order of the probabilities.
    architecture_ : Architecture
        The network.
    encoding_ : TableEncoding
        Medians and scales of the numbers, and the categories.
    plan_ : Plan
        The constants of the run.
    history_ : list of dict
        One row an epoch: training and validation log loss and accuracy, temperature, learning rate, seconds.
    best_epoch_ : int
        The epoch whose weights were kept, from 1.
    n_iter_ : int
        Epochs that were run.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Warns
    -----
    DataWarning
        SC852, if an epoch was begun again with a smaller rate since loss or gradient was not finite.

    See Also
    --------
    softclass.SoftmaxRegression : The same without hidden layers, solved to its optimum.

    Notes
    -----
    The same data, parameters and seed give the same bytes, for any number of threads and any instruction set.

    References
    ----------
    .. [1] D. Holzmüller, L. Grinsztajn and I. Steinwart, "Better by default: strong pre-tuned MLPs and boosted trees on
       tabular data", NeurIPS 2024.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from softclass import SoftmaxMLP
    >>> features, labels = load_iris(return_X_y=True)
    >>> model = SoftmaxMLP(hidden_layer_sizes=(16,), epochs=40).fit(features, labels)
    >>> model.score(features, labels) > 0.9
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "hidden_layer_sizes": [StrOptions({"auto", "realmlp"}), int, "array-like", Architecture],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "dropout": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="left")],
        "numeric_embedding": [StrOptions({"periodic"}), None],
        **SHARED_CONSTRAINTS,
    }

    encoding_: TableEncoding

    def __init__(
        self,
        *,
        hidden_layer_sizes: str | int | Sequence[int] | Architecture = "auto",
        activation: str = "relu",
        dropout: float | str = "auto",
        numeric_embedding: str | None = None,
        epochs: int | str = "auto",
        batch_size: int | str = "auto",
        learning_rate: float | str = "auto",
        weight_decay: float | str = "auto",
        class_weight: dict[Any, float] | str | None = None,
        validation_fraction: float = 0.1,
        patience: int | str | None = "auto",
        warm_start: bool = False,
        callbacks: Sequence[Callable[[dict[str, Any]], object]] | None = None,
        n_jobs: int | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.dropout = dropout
        self.numeric_embedding = numeric_embedding
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.class_weight = class_weight
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.warm_start = warm_start
        self.callbacks = callbacks
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _read(self, X: Any, *, reset: bool) -> TableCells:
        cells = read_cells(self, X, reset=reset)
        places = text_places(X) if cells.texts else ()
        if reset:
            self._text_places = places
        elif places != self._text_places:
            raise ValueError("X must have texts or categories in the columns in which it had them in fit")
        return cells

    def _fit_encoding(self, cells: TableCells) -> TableEncoding:
        return fit_encoding(cells)

    def _choose_architecture(self, n_rows: int, n_classes: int) -> Architecture:
        columns, sizes = self.encoding_.input, self.hidden_layer_sizes
        if isinstance(sizes, Architecture) or sizes == "realmlp":
            self._refuse_beside("a whole network" if isinstance(sizes, Architecture) else '"realmlp"')
        if isinstance(sizes, Architecture):
            if sizes.input != columns or sizes.n_classes != n_classes:
                rule = f"`hidden_layer_sizes` must take {columns} and have {n_classes} classes"
                came = f"got {sizes.input} and {sizes.n_classes}"
                raise OptionError("SC141", f"{rule}; {came}", where="SoftmaxMLP")
            return sizes
        if isinstance(sizes, str) and sizes == "realmlp":
            return realmlp(columns, n_classes)
        if isinstance(sizes, str):
            sizes = table_widths(n_rows)
        widths = tuple(int(width) for width in ((sizes,) if isinstance(sizes, int) else sizes))
        activation, has_waves = ACTIVATIONS[self.activation], self.numeric_embedding == "periodic"
        rate = self.dropout
        if isinstance(rate, str):
            plain = table_architecture(columns, n_classes, widths, activation, has_waves=has_waves)
            rate = table_dropout(n_rows, plain.n_parameters)
        return table_architecture(columns, n_classes, widths, activation, float(rate), has_waves=has_waves)

    def _refuse_beside(self, what: str) -> None:
        """Refuse options that say what a network says already."""
        for name, default in (("activation", "relu"), ("dropout", "auto"), ("numeric_embedding", None)):
            if getattr(self, name) != default:
                rule = f"`{name}` has no effect where `hidden_layer_sizes` is {what}"
                raise UsageError("SC202", rule, where="SoftmaxMLP", hint="Leave it out")

    def _choose_plan(self, rows: Rows, validation: Rows | None) -> Plan:
        return table_plan(self.architecture_, len(rows), self._chosen())
