"""Batches that are read from disk or again from their source: the bits of a fit in memory, in little memory."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from scipy import sparse

from asserts import assert_bit_equal
from softclass.errors import DataError, TooLargeError
from softclass.estimators import scaling, solve
from softclass.estimators.softmax_regression import SoftmaxRegression
from softclass.estimators.spill import HEADER, SpilledRows, SpillFile

ROWS, COLUMNS, CLASSES = 3000, 7, 4


@pytest.fixture
def is_large(monkeypatch):
    """Let every table count as too large for a float64 copy, and cut it into many blocks."""
    monkeypatch.setattr(scaling, "DOUBLE_COPY_BYTES", 0)
    monkeypatch.setattr(scaling, "BLOCK_BYTES", 2**14)


def make(dtype=np.float64, *, offset=3.0, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((ROWS, COLUMNS)) * [1, 10, 0.1, 3, 1, 1, 100] + offset
    logits = (X - offset) @ rng.standard_normal((COLUMNS, CLASSES)) * 0.3
    y = np.array(list("dbca"))[np.argmax(logits + rng.gumbel(size=logits.shape), axis=1)]
    return X.astype(dtype), y


def cut(sizes, *arrays):
    places = [0, *np.cumsum(sizes).tolist(), len(arrays[0])]
    return [tuple(a[i:j] for a in arrays) for i, j in itertools.pairwise(places) if j > i]


CUTS = {"one": [], "rows": [1, 1, 1], "uneven": [17, 900, 64, 333, 1000], "even": [500] * 5}


@pytest.mark.parametrize("sizes", CUTS.values(), ids=CUTS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "offset", [0.0, 1e4]
)  # columns that stay as they are, and columns that are centred in the file
def test_batches_have_the_bits_of_a_fit_in_memory(is_large, sizes, dtype, offset):
    X, y = make(dtype, offset=offset)

    whole = SoftmaxRegression().fit(X, y)
    model = SoftmaxRegression().fit_batches(cut(sizes, X, y))

    assert_bit_equal(whole.coef_, model.coef_)
    assert_bit_equal(whole.intercept_, model.intercept_)
    assert whole.classes_.tolist() == model.classes_.tolist()


@pytest.mark.parametrize("l1_ratio", [0.0, 0.5])
def test_cuts_and_threads_change_no_bit(is_large, l1_ratio):
    X, y = make(np.float32, offset=1e4)

    one, *others = (
        SoftmaxRegression(l1_ratio=l1_ratio, n_jobs=threads).fit_batches(cut(sizes, X, y))
        for sizes, threads in ((CUTS["one"], 1), (CUTS["uneven"], 2), (CUTS["even"], 1), (CUTS["rows"], 2))
    )

    for other in others:
        assert_bit_equal(one.coef_, other.coef_)
        assert_bit_equal(one.intercept_, other.intercept_)


@pytest.mark.parametrize("offset", [0.0, 1e4])
@pytest.mark.parametrize("C", [1.0, np.inf])
def test_without_room_for_a_file_the_source_is_read_again_with_the_same_bits(is_large, monkeypatch, offset, C):
    X, y = make(np.float32, offset=offset)
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000})())

    whole = SoftmaxRegression(C=C).fit(X, y)
    model = SoftmaxRegression(C=C).fit_batches(cut(CUTS["uneven"], X, y))

    assert_bit_equal(whole.coef_, model.coef_)
    assert_bit_equal(whole.intercept_, model.intercept_)


def test_a_spill_file_is_solved_the_way_of_rows_in_memory(is_large, monkeypatch):
    """Beyond Newton's method too; a source that is decoded in every pass may go another way, of fewer passes."""
    monkeypatch.setattr(solve, "NEWTON_ALWAYS", 0)
    monkeypatch.setattr(solve, "NEWTON_WORK", 0)
    X, y = make(np.float32)

    whole = SoftmaxRegression().fit(X, y)
    model = SoftmaxRegression().fit_batches(cut(CUTS["uneven"], X, y))

    assert whole.solver_ == model.solver_ == "lbfgs-block"
    assert_bit_equal(whole.coef_, model.coef_)


def test_small_batches_take_the_way_of_small_data():
    X, y = make()

    whole = SoftmaxRegression(C=0.1).fit(X, y)
    model = SoftmaxRegression(C=0.1).fit_batches(cut(CUTS["uneven"], X, y))

    assert_bit_equal(whole.coef_, model.coef_)


def test_more_columns_than_rows_are_the_same(is_large):
    X, y = np.random.default_rng(0).standard_normal((40, 600)), np.arange(40) % 3

    whole = SoftmaxRegression().fit(X, y)
    model = SoftmaxRegression().fit_batches(cut([7, 20], X, y))

    assert_bit_equal(whole.coef_, model.coef_)


def test_many_parameters_are_sampled_alike(is_large, monkeypatch):
    monkeypatch.setattr("softclass.estimators.solve.NEWTON_ALWAYS", 0)
    monkeypatch.setattr("softclass.estimators.solve.NEWTON_WORK", 0)
    X, y = make(np.float32)

    whole = SoftmaxRegression().fit(X, y)
    model = SoftmaxRegression().fit_batches(cut(CUTS["uneven"], X, y))

    assert_bit_equal(whole.coef_, model.coef_)


@pytest.mark.parametrize("has_room", [True, False])
def test_rows_of_weight_zero_are_left_out(is_large, monkeypatch, has_room):
    X, y = make(np.float32)
    weights = np.random.default_rng(1).integers(0, 3, ROWS).astype(float)
    if not has_room:
        monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000})())

    whole = SoftmaxRegression(class_weight="balanced").fit(X, y, weights)
    model = SoftmaxRegression(class_weight="balanced").fit_batches(cut(CUTS["uneven"], X, y, weights))

    assert_bit_equal(whole.coef_, model.coef_)


def test_sparse_batches_are_joined():
    X, y = make()
    body = sparse.csr_matrix(np.where(np.abs(X - 3) > 1, X, 0))
    batches = [(body[first : first + 700], y[first : first + 700]) for first in range(0, ROWS, 700)]

    whole = SoftmaxRegression().fit(body, y)
    model = SoftmaxRegression().fit_batches(batches)

    assert_bit_equal(whole.coef_, model.coef_)


def test_a_class_without_rows_has_probability_zero():
    X, y = make()

    model = SoftmaxRegression().fit_batches([(X, y)], classes=["a", "b", "c", "d", "e"])

    assert_bit_equal(np.zeros(COLUMNS), model.coef_[4])
    assert model.intercept_[4] == -np.inf


def test_a_generator_is_enough_where_the_file_has_room():
    X, y = make()

    whole = SoftmaxRegression().fit(X, y)
    model = SoftmaxRegression().fit_batches(batch for batch in cut([1000], X, y))

    assert_bit_equal(whole.coef_, model.coef_)


class Changing:
    """Batches of which a later read gives something else."""

    def __init__(self, change):
        self.change, self.reads = change, 0

    def __iter__(self):
        self.reads += 1
        X, y = make(np.float32)
        return iter(cut(CUTS["even"], *(self.change(X, y) if self.reads == 5 else (X, y))))


def swapped(X, y):
    first, other = 1234, int(np.flatnonzero(y != y[1234])[0])
    y = y.copy()
    y[first] = y[other]
    return X, y


CHANGES = {
    "fewer": (lambda X, y: (X[:-9], y[:-9]), "2,991 rows instead of 3,000"),
    "more": (lambda X, y: (np.repeat(X, 2, 0), np.repeat(y, 2)), "another label in row"),
    "labels": (swapped, "another label in row 1,234"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_source_that_changes_is_an_error(is_large, monkeypatch, change):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    how, what = CHANGES[change]

    with pytest.raises(DataError, match=rf"\[SC373\] .* the same rows; read 5 gave {re.escape(what)}"):
        SoftmaxRegression().fit_batches(Changing(how))


def test_a_generator_without_room_is_an_error(monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000})())

    with pytest.raises(TooLargeError, match=r"\[SC606\] .* these batches can be read only once"):
        SoftmaxRegression().fit_batches(batch for batch in cut([1000], *make()))


X3, Y3 = np.arange(6.0).reshape(3, 2), [0, 1, 0]
REFUSED = {
    "no batch": ([], {}, ValueError, "`batches` must hold at least one batch; got none"),
    "no tuple": ([X3], {}, TypeError, "a batch must be a tuple (X, y) or (X, y, sample_weight)"),
    "dtypes": ([(X3, Y3), (X3.astype(np.float32), Y3)], {}, TypeError, "got float64 at first and then float32"),
    "kinds": ([(X3, Y3), (sparse.csr_matrix(X3), Y3)], {}, TypeError, "got sparse and dense ones"),
    "types of labels": ([(X3, Y3), (X3, ["a", "b", "a"])], {}, TypeError, "must hold labels of one type; got several"),
    "strange label": ([(X3, Y3)], {"classes": [0, 2]}, ValueError, '`y` holds "1", which is not among `classes`'),
    "columns": ([(X3, Y3), (X3[:, :1], Y3)], {}, ValueError, "X has 1 features, but SoftmaxRegression is expecting 2"),
    "nan": ([(X3, Y3), (X3 * np.nan, Y3)], {}, ValueError, "Input X contains NaN"),
    "weights": ([(X3, Y3, [1, -1, 1])], {}, ValueError, "Negative values in data passed to `sample_weight`"),
    "one class": ([(X3, [1, 1, 1])], {}, ValueError, 'must hold at least two classes; got one class, "1"'),
}


@pytest.mark.parametrize("name", REFUSED)
def test_wrong_batches_are_refused(name):
    batches, options, kind, words = REFUSED[name]

    with pytest.raises(kind, match=re.escape(words)):
        SoftmaxRegression().fit_batches(batches, **options)


def test_a_spill_file_gives_rows_back_and_shrinks_in_place():
    rows = np.random.default_rng(0).standard_normal((50_000, 41))
    used = np.arange(len(rows)) % 3 > 0
    with SpillFile(41, np.float64) as file:
        for part in np.array_split(rows, 7):
            assert file.append(part)
        before = file.finished()
        size = os.fstat(before._file.fileno()).st_size
        after = before.kept(used).changed(lambda block: (block / 2).astype(np.float32), np.float32)

        assert size == HEADER.size + rows.nbytes
        assert_bit_equal((rows[used] / 2).astype(np.float32), np.concatenate(list(after.blocks(999))))
        assert os.fstat(after._file.fileno()).st_size == HEADER.size + 4 * after.shape[0] * 41


def test_a_spill_file_without_room_says_so():
    with SpillFile(3, np.float64, room=100) as file:
        assert not file.append(np.zeros((10, 3)))


def test_another_file_is_no_spill_file(tmp_path):
    path = tmp_path / "other"
    path.write_bytes(bytes(100))

    with path.open("r+b") as file, pytest.raises(ValueError, match="not a spill file"):
        SpilledRows(file)


PROGRAM = """
    import resource, sys
    import numpy as np
    from softclass.estimators.softmax_regression import SoftmaxRegression

    class Batches:
        def __iter__(self):
            for seed in range(60):
                rng = np.random.default_rng(seed)
                X = rng.standard_normal((10_000, 100), dtype=np.float32)
                yield X, (X[:, :5] + rng.gumbel(size=(10_000, 5))).argmax(axis=1)

    SoftmaxRegression().fit(*next(iter(Batches())))  # what is loaded and allocated at first
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    model = SoftmaxRegression(tol=1e-2).fit_batches(Batches())
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base, model.converged_)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss in KiB, and files mapped as Linux does")
def test_memory_is_a_fraction_of_the_data():
    out = subprocess.run([sys.executable, "-c", textwrap.dedent(PROGRAM)], capture_output=True, text=True, check=True)
    grown, converged = out.stdout.split()

    assert converged == "True"
    assert int(grown) < 90_000  # KiB; the rows are 240 MB, their labels and weights 16 bytes a row
