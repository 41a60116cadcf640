"""Rows of a table as a network reads them: scaled numbers, flags of gaps, codes of categories.

A number x becomes ``y / sqrt(1 + (y / 3)**2)`` with ``y = (x - median) / (quartile distance)``: linear in the middle,
never beyond 3. Tails that would rule a network keep their order and lose their weight [1]_.

References
----------
.. [1] D. Holzmüller, L. Grinsztajn and I. Steinwart, "Better by default: strong pre-tuned MLPs and boosted trees on
   tabular data", NeurIPS 2024.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import _check_feature_names, _check_n_features, validate_data

from softclass.errors import shown
from softclass.networks.engine import Float32, Rows
from softclass.networks.layers import Columns

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
CLIP = 3.0
LARGEST = 1e100  # its square is finite
MISSING, OTHER, FIRST = 0, 1, 2  # codes
MOST_CATEGORIES = 1000
LEAST_ROWS, LEAST_SHARE = 5, 200  # categories of fewer rows than either are merged into "other"
# How the names of dtypes of categories and texts begin, in pandas and polars.
_TEXT_DTYPES = ("categor", "enum", "str", "object", "utf8", "large_string")
_TIME_DTYPES = ("datetime", "timedelta", "date", "time", "duration", "period")


@dataclass(frozen=True, eq=False)
class TableCells:
    """Cells as they came.

    Attributes
    ----------
    numbers : float64 array of shape (n_rows, n_numbers)
        NaN where missing.
    texts : tuple of object arrays of shape (n_rows,)
        One a category column; None where missing.
    """

    numbers: Float64
    texts: tuple[npt.NDArray[Any], ...]

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, rows: Int64) -> TableCells:
        return TableCells(self.numbers[rows], tuple(column[rows] for column in self.texts))


def read_cells(estimator: Any, X: Any, *, reset: bool) -> TableCells:
    """
    Return the cells of a table; columns of texts and categories apart from those of numbers.

    Parameters
    ----------
    estimator : estimator
        Told the number and the names of the columns if `reset`, else asked for them.
    X : array, or frame of pandas or polars, of shape (n_rows, n_columns)
        NaN and null are missing.
    reset : bool
        Whether these are the rows of a fit.

    Returns
    -------
    TableCells
        The columns of each kind in their order.

    Raises
    ------
    ValueError
        For what scikit-learn refuses, infinity for example.
    """
    kinds = _is_text(X)
    if not any(kinds):
        numbers = validate_data(estimator, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=reset)
        return TableCells(numbers, ())
    _check_feature_names(estimator, X, reset=reset)
    _check_n_features(estimator, X, reset=reset)
    names = list(X.columns)
    columns = [_number_column(X[name], name) for name, is_text in zip(names, kinds, strict=True) if not is_text]
    texts = tuple(_text_column(X[name]) for name, is_text in zip(names, kinds, strict=True) if is_text)
    numbers = np.stack(columns, axis=1) if columns else np.empty((len(X), 0))
    if np.isinf(numbers).any():
        raise ValueError("Input X contains infinity or a value too large for dtype('float64').")
    return TableCells(numbers, texts)


def text_places(X: Any) -> tuple[bool, ...]:
    """
    Return which columns are categories.

    Parameters
    ----------
    X : array or frame
        A table.

    Returns
    -------
    tuple of bool
        One a column; empty for arrays.
    """
    return tuple(_is_text(X))


def _is_text(X: Any) -> list[bool]:
    """Return for each column of a frame whether it holds texts or categories; nothing for arrays."""
    if not (hasattr(X, "columns") and hasattr(X, "dtypes")):
        return []
    return [str(dtype).lower().startswith(_TEXT_DTYPES) for dtype in X.dtypes]


def _number_column(column: Any, name: Any) -> Float64:
    try:
        if str(column.dtype).lower().startswith(_TIME_DTYPES):
            raise TypeError("times have no zero that means anything")
        if hasattr(column, "isna"):
            return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan), dtype=np.float64)
        return np.array([np.nan if cell is None else cell for cell in column.to_list()], dtype=np.float64)
    except (TypeError, ValueError) as cause:
        raise ValueError(f'column "{shown(name)}" must hold numbers, booleans, texts or categories') from cause


def _text_column(column: Any) -> npt.NDArray[Any]:
    missing = column.isna() if hasattr(column, "isna") else column.is_null()
    cells = [None if gap else str(cell) for gap, cell in zip(missing.to_list(), column.to_list(), strict=True)]
    texts = np.empty(len(cells), dtype=object)
    texts[:] = cells
    return texts


@dataclass(frozen=True, eq=False)
class TableEncoding:
    """
    Constants found in the rows of a fit.

    Attributes
    ----------
    median, scale : float64 arrays of shape (n_numbers,)
        Of each column of numbers.
    flagged : int64 array
        Columns of numbers with gaps in the fit; each has one more input, which is 1 where a cell is missing.
    categories : tuple of tuple of str
        Of each category column, the most frequent first; the first has code 2.
    """

    median: Float64
    scale: Float64
    flagged: Int64
    categories: tuple[tuple[str, ...], ...]

    @property
    def input(self) -> Columns:
        """What the network is told of its input."""
        return Columns(len(self.median) + len(self.flagged), tuple(FIRST + len(found) for found in self.categories))

    def apply(self, cells: TableCells, targets: npt.NDArray[np.int32], weight: Float32 | None) -> Rows:
        """
        Return rows for an engine.

        Parameters
        ----------
        cells : TableCells
            As from `read_cells`.
        targets : int32 array of shape (n_rows,)
            Classes.
        weight : float32 array of shape (n_rows,), or None
            Weights.

        Returns
        -------
        Rows
            Missing numbers are 0, the median; unknown categories are "other".
        """
        n, n_numbers = cells.numbers.shape
        numbers = np.zeros((n, n_numbers + len(self.flagged)), dtype=np.float32)
        numbers[:, n_numbers:] = np.isnan(cells.numbers[:, self.flagged])
        with np.errstate(over="ignore"):
            for first in range(0, n, 4096):  # a block and its copies stay within a second-level cache
                block = (cells.numbers[first : first + 4096] - self.median) / self.scale
                block = np.clip(block, -LARGEST, LARGEST)
                block = np.where(np.isnan(block), 0.0, block / np.sqrt(1 + np.square(block / CLIP)))
                numbers[first : first + 4096, :n_numbers] = block
        codes = np.empty((n, len(self.categories)), dtype=np.int32)
        for j, (column, categories) in enumerate(zip(cells.texts, self.categories, strict=True)):
            code_of = {None: MISSING} | {text: place for place, text in enumerate(categories, start=FIRST)}
            codes[:, j] = [code_of.get(text, OTHER) for text in column.tolist()]
        return Rows(
            targets=targets,
            weight=weight,
            numbers=numbers if numbers.shape[1] else None,
            codes=codes if codes.shape[1] else None,
        )


def fit_encoding(cells: TableCells) -> TableEncoding:
    """
    Find the constants of some rows.

    Parameters
    ----------
    cells : TableCells
        Rows of the fit.

    Returns
    -------
    TableEncoding
        Half of the range stands for a quartile distance of zero, and 1 for that of a constant. Categories of fewer
        rows than 5 and than a 200th of all are merged into "other", and so are those beyond 1,000.

    Examples
    --------
    >>> cells = TableCells(np.array([[0.0], [1.0], [2.0], [np.nan]]), (np.array(["b", "a", "b", None]),))
    >>> fitted = fit_encoding(cells)
    >>> fitted.median.tolist(), fitted.scale.tolist(), fitted.flagged.tolist(), fitted.categories
    ([1.0], [1.0], [0], (('b', 'a'),))
    """
    median, scale = np.zeros(cells.numbers.shape[1]), np.ones(cells.numbers.shape[1])
    flagged = []
    for j, column in enumerate(cells.numbers.T):
        present = column[~np.isnan(column)]
        if not len(present):
            continue
        if len(present) < len(column):
            flagged.append(j)
        with np.errstate(over="ignore", invalid="ignore"):  # of numbers near 1e308
            low, median[j], high = np.percentile(present, (25, 50, 75))
            spread = high - low or (present.max() - present.min()) / 2
        scale[j] = spread if 0 < spread < np.inf else 1.0
    found = tuple(_categories(column) for column in cells.texts)
    return TableEncoding(median, scale, np.array(flagged, dtype=np.int64), found)


def _categories(column: npt.NDArray[Any]) -> tuple[str, ...]:
    counts = Counter(text for text in column.tolist() if text is not None)
    least = min(LEAST_ROWS, -(-len(column) // LEAST_SHARE))
    frequent = [text for text, count in counts.items() if count >= least]
    return tuple(sorted(frequent, key=lambda text: (-counts[text], text))[:MOST_CATEGORIES])
