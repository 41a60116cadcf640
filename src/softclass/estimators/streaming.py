"""Batches of rows that are read more than once: the first read, which spills them, and reads of the source itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight

from softclass.errors import DataError, TooLargeError, shown
from softclass.estimators.scaling import Array
from softclass.estimators.spill import AbstractRows, Rows, SpillFile

WHERE = "SoftmaxRegression.fit_batches"

# (features, labels, whether it is the first batch of all) -> features as the solver takes them, labels
Check = Callable[[Any, Any, bool], tuple[Any, npt.NDArray[Any]]]


@dataclass(frozen=True, eq=False)
class ReadBatches:
    """All rows of some batches.

    Attributes
    ----------
    features : AbstractRows or CSR matrix of shape (N, D)
        Dense rows on disk or in their source; sparse ones in memory.
    classes : array of shape (K,)
        Labels in sorted order.
    targets : int64 array of shape (N,)
        Class indices.
    sample_weight : float64 array of shape (N,)
        Ones where a batch has none.
    """

    features: Any
    classes: npt.NDArray[Any]
    targets: npt.NDArray[np.int64]
    sample_weight: Array


class LabelCodes:
    """Numbers the labels of one batch after the other; in sorted order once all are known."""

    def __init__(self) -> None:
        self._places: dict[Any, int] = {}
        self._found: list[npt.NDArray[Any]] = []

    def codes(self, labels: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """Return the number of each label, in order of first appearance."""
        found, inverse = np.unique(labels, return_inverse=True)
        fresh = [label not in self._places for label in found.tolist()]
        if any(fresh):
            self._found.append(found[fresh])
        numbers = [self._places.setdefault(label, len(self._places)) for label in found.tolist()]
        return np.array(numbers, dtype=np.int64)[inverse]

    def sorted(self, classes: Any = None) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
        """Return the classes, `classes` where they are given, and the index of each numbered label among them."""
        try:
            sorted(self._places)
            known = np.unique(np.concatenate(self._found) if classes is None else np.asarray(classes))
        except TypeError as error:
            raise TypeError("SoftmaxRegression: `y` must hold labels of one type; got several") from error
        index = {label: place for place, label in enumerate(known.tolist())}
        strange = [label for label in self._places if label not in index]
        if strange:
            raise ValueError(f'SoftmaxRegression: `y` holds "{shown(strange[0])}", which is not among `classes`')
        return known, np.array([index[label] for label in self._places], dtype=np.int64)


def known_targets(labels: npt.NDArray[Any], classes: npt.NDArray[Any], again: Any = None) -> npt.NDArray[np.int64]:
    """Return the index of each label among the classes of the first batch; `again`, if given, must repeat those."""
    check_classification_targets(labels)
    if again is not None and not np.array_equal(np.unique(again), classes):
        raise ValueError("SoftmaxRegression: `classes` must be the same in every call")
    numbers = LabelCodes()
    codes = numbers.codes(labels)
    return numbers.sorted(classes)[1][codes]


@contextmanager
def read_once(batches: Any, check: Check, classes: Any = None, room: int | None = None) -> Iterator[ReadBatches]:
    """
    Read all batches once, and give what was read until the end of the context.

    Parameters
    ----------
    batches : iterable of tuples
        Of (features, labels) or (features, labels, sample_weight or None).
    check : callable
        What the estimator asks of features and labels.
    classes : array, optional
        All labels. Default: those that come.
    room : int, optional
        Most bytes of the spill file. Default: half of the free disk.

    Yields
    ------
    ReadBatches
        With dense features in a spill file, or in the source where the disk has no room.
    """
    with ExitStack() as open_files:
        yield _read(batches, check, classes, room, open_files)


def _read(batches: Any, check: Check, classes: Any, room: int | None, open_files: ExitStack) -> ReadBatches:
    labels, weights = LabelCodes(), []
    codes: list[npt.NDArray[np.int64]] = []
    store: SpillFile | None = None
    parts: list[Any] = []  # sparse
    shape, dtype, spills = (0, 0), np.dtype(np.float64), True
    for features, y, weight in _unpacked(batches):
        first = not codes
        features, y = check(features, y, first)
        check_classification_targets(y)
        if first:
            shape, dtype = (0, features.shape[1]), features.dtype
        elif features.dtype != dtype or sparse.issparse(features) != bool(parts):
            raise TypeError(
                f"SoftmaxRegression: all batches must be of one kind; got {dtype} at first and then {features.dtype}"
                if features.dtype != dtype
                else "SoftmaxRegression: all batches must be of one kind; got sparse and dense ones"
            )
        shape = (shape[0] + features.shape[0], shape[1])
        codes.append(labels.codes(y))
        weights.append(_check_sample_weight(weight, features, dtype=np.float64, ensure_non_negative=True))
        if sparse.issparse(features):
            parts.append(features.tocsr())
        elif spills:
            store = store or open_files.enter_context(SpillFile(shape[1], dtype, room))
            spills = store.append(features)
    if not codes:
        raise ValueError("SoftmaxRegression: `batches` must hold at least one batch; got none")
    known, index = labels.sorted(classes)
    targets = index[np.concatenate(codes)]
    rows: Any
    if parts:
        rows = sparse.vstack(parts, format="csr")
    elif spills and store is not None:
        rows = store.finished()
    else:
        if isinstance(batches, Iterator):
            raise TooLargeError(
                "SC606",
                "the rows take more than half of the free disk, and these batches can be read only once",
                where=WHERE,
                hint="Give an object that starts again at every loop, such as a list, or make room for the spill file",
            )
        rows = DecodedRows(_Source(batches, check, known, targets), shape, dtype)
    return ReadBatches(rows, known, targets, np.concatenate(weights))


def _unpacked(batches: Any) -> Iterator[tuple[Any, Any, Any]]:
    for batch in batches:
        if not isinstance(batch, tuple) or len(batch) not in (2, 3):
            raise TypeError("SoftmaxRegression: a batch must be a tuple (X, y) or (X, y, sample_weight)")
        yield (*batch, None)[:3]


class _Source:
    """Reads the batches again, and sees whether they are the same."""

    def __init__(
        self, batches: Iterable[Any], check: Check, classes: npt.NDArray[Any], targets: npt.NDArray[np.int64]
    ) -> None:
        self._batches, self._check, self._targets = batches, check, targets
        self._index = {label: place for place, label in enumerate(classes.tolist())}
        self.reads = 1

    def __iter__(self) -> Iterator[Rows]:
        self.reads += 1
        number, start = self.reads, 0
        for features, y, _ in _unpacked(self._batches):
            features, y = self._check(features, y, False)
            found, inverse = np.unique(y, return_inverse=True)
            targets = np.array([self._index.get(label, -1) for label in found.tolist()])[inverse]
            expected = self._targets[start : start + len(targets)]
            if len(expected) < len(targets):
                raise self._changed(number, f"more than {len(self._targets):,} rows instead of {len(self._targets):,}")
            if not np.array_equal(targets, expected):
                row = start + int(np.flatnonzero(targets != expected)[0])
                raise self._changed(number, f"another label in row {row:,}")
            start += len(targets)
            yield features
        if start < len(self._targets):
            raise self._changed(number, f"{start:,} rows instead of {len(self._targets):,}")

    @staticmethod
    def _changed(number: int, what: str) -> DataError:
        return DataError(
            "SC373",
            f"every read of the batches must give the same rows; read {number} gave {what}",
            where=WHERE,
            hint="Read from something that does not change, and draw or shuffle with a fixed seed",
        )


class DecodedRows(AbstractRows):
    """Rows that are read from their source again and again.

    Parameters
    ----------
    source : iterable of arrays
        Some rows after the other, the same every time.
    shape : tuple (N, D)
        Rows, before `used` leaves some out, and columns.
    dtype : dtype
        After `change`.
    used : bool array of shape (N,), optional
        Rows that count.
    change : callable, optional
        Applied to the rows that count.
    """

    def __init__(
        self,
        source: Iterable[Rows],
        shape: tuple[int, int],
        dtype: npt.DTypeLike,
        used: npt.NDArray[np.bool_] | None = None,
        change: Callable[[Rows], Rows] | None = None,
    ) -> None:
        self._source, self._read_shape, self._used, self._change = source, shape, used, change
        self.shape = (shape[0] if used is None else int(used.sum()), shape[1])
        self.dtype = np.dtype(dtype)

    def __iter__(self) -> Iterator[Rows]:
        start = 0
        for piece in self._source:
            rows = piece if self._used is None else piece[self._used[start : start + len(piece)]]
            start += len(piece)
            yield rows if self._change is None else self._change(rows)

    def blocks(self, rows: int) -> Sequence[Rows]:
        """Return blocks that are cut out of the source while it is read."""
        return _Recut(self, rows)

    def changed(self, change: Callable[[Rows], Rows], dtype: npt.DTypeLike) -> DecodedRows:
        """Return the rows after `change`, which is applied in every read."""
        return DecodedRows(self._source, self._read_shape, dtype, self._used, change)

    def kept(self, used: npt.NDArray[np.bool_]) -> DecodedRows:
        """Return the rows where `used` is true; the others are read and dropped."""
        return DecodedRows(self._source, self._read_shape, self.dtype, used, self._change)

    def whole(self) -> Rows:
        """Return all rows, in memory."""
        return np.concatenate(list(self))


class _Recut(Sequence[Rows]):
    """The rows of a source in blocks of another size. Only the first block is cheap to get by itself."""

    def __init__(self, source: DecodedRows, rows: int) -> None:
        self._source, self._rows = source, rows

    def __len__(self) -> int:
        return -(-self._source.shape[0] // self._rows)

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self._first if index == 0 else next(islice(iter(self), index, None))

    @cached_property
    def _first(self) -> Rows:
        return next(iter(self))

    def __iter__(self) -> Iterator[Rows]:
        held: list[Rows] = []
        count = 0
        for piece in self._source:
            start = 0
            while count + len(piece) - start >= self._rows:
                stop = start + self._rows - count
                yield _joined([*held, piece[start:stop]])
                held, count, start = [], 0, stop
            if start < len(piece):
                held.append(piece[start:])
                count += len(piece) - start
        if held:
            yield _joined(held)


def _joined(parts: list[Rows]) -> Rows:
    return np.ascontiguousarray(parts[0] if len(parts) == 1 else np.concatenate(parts))
