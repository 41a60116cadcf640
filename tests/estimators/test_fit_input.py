"""Features and labels as fits take them, against what scikit-learn and NumPy say."""

import numpy as np
import pytest
from scipy import sparse

from softclass import SoftmaxRegression
from softclass.estimators import fit_input
from softclass.estimators.fit_input import checked_input, encoded_labels

LABELS = {
    "small numbers": np.array([3, -1, 3, 0, 7]),
    "bytes from end to end": np.array([-128, 127] * 200, np.int8),
    "unsigned": np.array([250, 3, 3, 255], np.uint8),
    "one": np.array([5]),
    "far apart": np.array([0, 10**15, 3]),
    "at the ends": np.array([np.iinfo(np.int64).min, np.iinfo(np.int64).max]),
    "beyond signed numbers": np.array([2**63 + 5, 2**63 + 4, 2**63 + 5], np.uint64),
    "truths": np.array([True, False, True]),
    "text": np.array(["b", "a", "b"]),
    "objects": np.array(["b", "a", "b"], object),
}


@pytest.mark.parametrize("name", LABELS)
def test_labels_are_numbered_as_numpy_does(name):
    labels = LABELS[name]
    expected, inverse = np.unique(labels, return_inverse=True)

    classes, targets = encoded_labels(labels)

    assert classes.dtype == expected.dtype
    np.testing.assert_array_equal(classes, expected)
    np.testing.assert_array_equal(targets, inverse)
    assert targets.dtype == np.int64


def table(wrong):
    rows = np.random.default_rng(0).standard_normal((60, 4))
    rows[41, 2] = wrong
    return rows


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["rows", "columns", "single", "strided", "sparse", "list"])
def test_a_number_that_is_not_finite_is_refused_in_scikit_learns_words(kind, wrong):
    rows = table(wrong)
    taken = {
        "rows": rows,
        "columns": np.asfortranarray(rows),
        "single": rows.astype("f4"),
        "strided": np.repeat(rows, 2, axis=1)[:, ::2],
        "sparse": sparse.csr_matrix(rows),
        "list": rows.tolist(),
    }[kind]

    with pytest.raises(ValueError, match=r"Input X contains (NaN|infinity)"):
        SoftmaxRegression().fit(taken, np.arange(60) % 2)


@pytest.mark.parametrize("kind", ["rows", "columns", "single", "sparse"])
def test_finite_numbers_pass_even_where_their_sum_is_not(kind):
    rows = table(0.0)
    rows[:30] = np.finfo("f4").max / 2
    taken = {
        "rows": rows,
        "columns": np.asfortranarray(rows),
        "single": rows.astype("f4"),
        "sparse": sparse.csc_matrix(rows),
    }[kind]

    X, y = checked_input(SoftmaxRegression(), taken, np.arange(60) % 3)

    assert X.format == "csr" if kind == "sparse" else X is taken
    assert len(y) == 60


def test_the_numbers_are_looked_at_by_as_many_threads_as_the_fit_has(monkeypatch):
    seen = []
    monkeypatch.setattr(fit_input.cpu, "regression_is_finite", lambda X, threads: seen.append(threads) or True)

    SoftmaxRegression(n_jobs=2).fit(table(0.0), np.arange(60) % 3)

    assert seen == [2]
