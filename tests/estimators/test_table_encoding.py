"""Rows of a table as a network reads them: the formula, its limits, codes of categories."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import BaseEstimator

from asserts import assert_bit_equal, assert_close
from softclass.estimators.network_fitting import allowed_threads, validation_rows
from softclass.estimators.random_state import seed_of
from softclass.estimators.table_encoding import TableCells, fit_encoding, read_cells, text_places
from softclass.networks.layers import Columns


def _cells(*columns, texts=()) -> TableCells:
    made = tuple(np.array(column, dtype=object) for column in texts)
    return TableCells(np.array(columns, dtype=float).T.reshape(-1, len(columns)), made)


def _numbers(fitted, cells) -> np.ndarray:
    return fitted.apply(cells, np.zeros(len(cells), np.int32), None).numbers


def test_numbers_are_centred_by_the_median_and_clipped_smoothly():
    cells = _cells([0, 1, 2, 3, 100])

    # Median 2, quartiles 1 and 3: y = (x - 2) / 2, then y / sqrt(1 + (y / 3)**2).
    y = np.array([-1, -0.5, 0, 0.5, 49])
    assert_close(y / np.sqrt(1 + (y / 3) ** 2), _numbers(fit_encoding(cells), cells)[:, 0], rtol=1e-7, atol=0)


@pytest.mark.parametrize("extreme", [1e30, 1e155, 1.7e308])
def test_extreme_numbers_come_near_three_and_keep_their_sign(extreme):
    fitted = fit_encoding(_cells([0, 1, 2, 3, 4]))

    found = _numbers(fitted, _cells([extreme, -extreme]))

    assert_close([[3.0], [-3.0]], found, rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("column", "scale"),
    [([0, 0, 0, 0, 0, 0, 5], 2.5), ([7, 7, 7], 1.0), ([np.nan, np.nan], 1.0), ([-1.7e308] * 2 + [1.7e308] * 2, 1.0)],
)
def test_columns_without_a_quartile_distance_have_a_scale(column, scale):
    fitted = fit_encoding(_cells(column))

    assert fitted.scale.tolist() == [scale]
    assert np.isfinite(_numbers(fitted, _cells(column))).all()


def test_gaps_are_medians_and_flagged_where_the_fit_had_some():
    fitted = fit_encoding(_cells([0, np.nan, 2], [0, 1, 2]))

    found = _numbers(fitted, _cells([np.nan, 1], [np.nan, np.nan]))

    assert fitted.input == Columns(3, ())
    assert found.tolist() == [[0, 0, 1], [0, 0, 0]]


def test_a_column_of_gaps_alone_needs_no_flag():
    assert fit_encoding(_cells([np.nan, np.nan])).input == Columns(1, ())


def test_codes_are_by_frequency_then_by_name():
    fitted = fit_encoding(_cells([0] * 6, texts=[["b", "a", "b", "c", "c", None]]))

    rows = fitted.apply(_cells([0] * 5, texts=[["b", "c", "a", None, "new"]]), np.zeros(5, np.int32), None)

    assert fitted.categories == (("b", "c", "a"),)
    assert rows.codes[:, 0].tolist() == [2, 3, 4, 0, 1]
    assert fitted.input == Columns(1, (5,))


def test_categories_of_few_rows_are_merged():
    texts = ["a"] * 500 + ["b"] * 3 + ["c"] * 2  # least: min(5, ceil(505 / 200)) = 3

    assert fit_encoding(_cells([0] * 505, texts=[texts])).categories == (("a", "b"),)


def test_at_most_a_thousand_categories_are_kept():
    texts = [f"{number:04}" for number in range(1500)] * 10

    assert len(fit_encoding(_cells([0] * 15_000, texts=[texts])).categories[0]) == 1000


def test_blocks_of_rows_change_nothing():
    column = np.random.default_rng(0).normal(size=9000)
    fitted = fit_encoding(_cells(column))

    assert_bit_equal(_numbers(fitted, _cells(column))[8000:], _numbers(fitted, _cells(column[8000:])))


def test_arrays_have_no_texts():
    cells = read_cells(BaseEstimator(), [[1, 2], [3, np.nan]], reset=True)

    assert (cells.numbers.shape, cells.texts) == ((2, 2), ())
    assert text_places(np.zeros((2, 2))) == ()


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_validation_rows_are_the_same_share_of_each_class(share):
    targets = np.random.default_rng(0).choice([0, 0, 0, 0, 1, 1, 2], 2000)

    held = validation_rows(targets, share, 0)

    counts, found = np.bincount(targets), np.bincount(targets[held])
    assert np.abs(found - share * counts).max() <= 1
    assert abs(held.sum() - share * 2000) <= 1


def test_a_class_of_one_row_keeps_it_for_learning():
    targets = np.array([0] * 500 + [1] * 500 + [2])

    assert not any(validation_rows(targets, 0.5, seed)[-1] for seed in range(20))


def test_too_few_validation_rows_are_none():
    assert validation_rows(np.repeat([0, 1], 45), 0.1, 0).sum() == 0


def test_there_are_at_most_five_thousand_validation_rows():
    assert validation_rows(np.repeat([0, 1], 40_000), 0.5, 0).sum() == 5000


def test_other_seeds_hold_out_other_rows():
    targets = np.repeat([0, 1], 500)

    assert not np.array_equal(validation_rows(targets, 0.1, 0), validation_rows(targets, 0.1, 1))


def test_seeds_and_threads_are_read_as_in_scikit_learn():
    assert [seed_of(None), seed_of(5), seed_of(np.int64(6))] == [0, 5, 6]
    assert allowed_threads(-1) >= 1
    assert [allowed_threads(n) for n in (None, 1, 4, -1000)] == [0, 1, 4, 1]
