"""The parts: disjoint, complete, stratified, the same for ever."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softclass.data.row_order import row_order
from softclass.data.split import Parts, SplitOptions, count_shared_rows, own_parts, split
from softclass.errors import DataError, Notes, TableError, UsageError


def parts_of(targets, options=None, *, n_classes=None, notes=None, names=None, **roles) -> Parts:
    targets = np.asarray(targets)
    n_classes = n_classes or int(targets.max()) + 1
    names = names or [f"class {i}" for i in range(n_classes)]
    notes = Notes() if notes is None else notes
    return split(targets, n_classes, options or SplitOptions(), notes, class_names=names, **roles)


def messages(notes: Notes) -> list[str]:
    return [f"{note.code} {note.message}" for note in notes]


def test_the_split_of_seed_0_never_changes():
    parts = parts_of(np.arange(110) % 2)

    assert parts.test.tolist() == GOLDEN_TEST
    assert parts.calibration.tolist() == GOLDEN_CALIBRATION


GOLDEN_TEST = [5, 7, 14, 33, 34, 40, 47, 53, 55, 56, 58, 65, 68, 74, 76, 89, 90, 93, 94, 101, 105, 108]
GOLDEN_CALIBRATION = [1, 4, 17, 36, 37, 44, 45, 62, 75, 78, 80, 81, 88]


@pytest.mark.parametrize(
    ("n_rows", "n_classes", "sizes"),
    [
        (100, 2, {"fit": 68, "calibration": 12, "test": 20}),
        (150, 3, {"fit": 102, "calibration": 18, "test": 30}),
        (20_000, 26, {"fit": 14_000, "calibration": 2000, "test": 4000}),
        (60_000, 10, {"fit": 46_000, "calibration": 2000, "test": 12_000}),  # the cap of max(2000, 20 K)
        (60_000, 200, {"fit": 44_000, "calibration": 4000, "test": 12_000}),
    ],
)
def test_default_shares(n_rows, n_classes, sizes):
    assert parts_of(np.arange(n_rows) % n_classes).sizes() == sizes


@settings(max_examples=150)
@given(
    counts=st.lists(st.integers(0, 60), min_size=2, max_size=6),
    seed=st.integers(0, 2**64 - 1),
    test=st.none() | st.floats(0.01, 0.6),
    calibration=st.none() | st.floats(0.01, 0.6),
    stratify=st.booleans(),
    grouped=st.booleans(),
)
def test_parts_are_disjoint_complete_and_deterministic(counts, seed, test, calibration, stratify, grouped):
    targets = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    groups = np.arange(len(targets)) // 3 if grouped else None
    options = SplitOptions(test, calibration, stratify, seed)
    try:
        parts = parts_of(targets, options, n_classes=len(counts), groups=groups)
    except DataError as error:
        assert error.code == "SC371"  # noqa: PT017 - an empty part is the only reason to refuse
        return
    again = parts_of(targets, options, n_classes=len(counts), groups=groups)

    together = np.concatenate([parts.fit, parts.calibration, parts.test])
    assert sorted(together.tolist()) == list(range(len(targets)))
    assert [parts.test.tolist(), parts.calibration.tolist()] == [again.test.tolist(), again.calibration.tolist()]
    assert set(targets.tolist()) == set(targets[parts.fit].tolist())


@settings(max_examples=100)
@given(
    counts=st.lists(st.integers(3, 400), min_size=2, max_size=8).filter(lambda counts: sum(counts) >= 100),
    seed=st.integers(0, 1000),
)
def test_each_class_gives_its_share_to_less_than_one_row(counts, seed):
    targets = np.repeat(np.arange(len(counts)), counts)
    parts = parts_of(targets, SplitOptions(seed=seed))

    share = len(parts.test) / len(targets)
    given_rows = np.bincount(targets[parts.test], minlength=len(counts))
    assert np.all(np.abs(given_rows - share * np.array(counts)) < 1)


@settings(max_examples=50)
@given(groups=st.lists(st.integers(0, 12), min_size=100, max_size=200), seed=st.integers(0, 100))
def test_a_group_stays_whole(groups, seed):
    groups = np.array(groups)
    parts = parts_of(np.arange(len(groups)) % 2, SplitOptions(seed=seed), groups=groups)

    held = [set(groups[rows].tolist()) for rows in (parts.fit, parts.calibration, parts.test)]
    assert sum(map(len, held)) == len(set(groups.tolist()))
    assert not parts.stratified


def test_group_shares_are_near_the_wanted_ones():
    groups = np.arange(2000) // 10
    sizes = parts_of(np.arange(2000) % 2, groups=groups).sizes()

    assert sizes == {"fit": 1360, "calibration": 240, "test": 400}


@pytest.mark.parametrize("groups", [np.repeat([1.5, np.nan], 60), np.repeat(["a", ""], 60)])
def test_rows_without_a_group_stand_alone(groups):
    notes = Notes()
    parts = parts_of(np.arange(120) % 2, notes=notes, groups=groups)

    assert messages(notes)[0] == "SC823 60 rows without a group, each a group of its own"
    assert len(parts.test) == 24


def test_another_seed_gives_another_split():
    targets = np.arange(1000) % 2

    assert parts_of(targets).test.tolist() != parts_of(targets, SplitOptions(seed=1)).test.tolist()


def test_without_stratification_the_first_rows_in_order_are_the_test():
    order = np.argsort(row_order(200, 0))
    parts = parts_of(np.arange(200) % 2, SplitOptions(stratify=False))

    assert parts.test.tolist() == sorted(order[:40].tolist())
    assert parts.calibration.tolist() == sorted(order[40:64].tolist())
    assert not parts.stratified


def test_the_latest_rows_are_the_test_then_the_calibration():
    times = np.arange(200.0)[::-1]
    parts = parts_of(np.arange(200) % 2, times=times)

    assert parts.test.tolist() == list(range(40))
    assert parts.calibration.tolist() == list(range(40, 64))


def test_rows_without_a_time_are_the_oldest():
    notes = Notes()
    times = np.where(np.arange(200) < 50, np.nan, np.arange(200.0))
    parts = parts_of(np.arange(200) % 2, notes=notes, times=times)

    assert set(range(50)) <= set(parts.fit.tolist())
    assert messages(notes)[0] == "SC823 50 rows without a time, taken for the oldest"


def test_own_test_rows_stay_and_calibration_comes_from_the_others():
    own = np.repeat(["fit", "test"], [200, 50])
    parts = parts_of(np.arange(250) % 2, own=own)

    assert parts.test.tolist() == list(range(200, 250))
    assert parts.sizes() == {"fit": 170, "calibration": 30, "test": 50}
    assert parts.own_test


def test_own_rows_of_an_unknown_class_are_left_alone():
    targets = np.append(np.arange(120) % 2, -1)
    parts = parts_of(targets, n_classes=2, own=np.append(np.full(120, ""), "test"))

    assert parts.test.tolist() == [120]


def test_a_class_in_own_test_rows_alone_has_no_fit_rows():
    targets = np.append(np.arange(120) % 2, 2)
    parts = parts_of(targets, own=np.append(np.full(120, ""), "test"))

    assert 2 not in targets[parts.fit]


def test_rows_of_equal_content_share_a_part():
    keys = np.arange(1000) // 2
    parts = parts_of(np.arange(1000) // 2 % 2, content_keys=keys)

    assert count_shared_rows(keys, parts) == {}
    assert parts.sizes() == {"fit": 680, "calibration": 120, "test": 200}


def test_equal_content_of_two_classes_shares_a_part_too():
    parts = parts_of(np.arange(1000) % 2, content_keys=np.arange(1000) // 2)

    assert set((parts.test // 2).tolist()).isdisjoint((parts.fit // 2).tolist())


def test_rare_classes_stay_in_the_fit_part_with_one_note():
    notes = Notes()
    targets = np.array([0] * 100 + [1] * 100 + [2] * 2 + [3])
    parts = parts_of(targets, notes=notes, names=["a", "b", "spy", "p\x1brl"])

    assert np.bincount(targets[parts.fit], minlength=4)[2:].tolist() == [2, 1]
    assert messages(notes)[0] == (
        'SC804 2 classes have fewer rows than there are parts and stay in the fit part: "p\\u001brl" 1, "spy" 2'
    )


def test_one_rare_class_is_named_in_the_singular():
    notes = Notes()
    parts_of(np.array([0] * 100 + [1] * 100 + [2]), notes=notes)

    assert messages(notes)[0] == (
        'SC804 1 class has fewer rows than there are parts and stays in the fit part: "class 2" 1'
    )


NOTHING_HELD_OUT = "rows in all: nothing could be held out, so how good the probabilities are on new rows is not known"


@pytest.mark.parametrize(
    ("n_rows", "sizes", "message"),
    [
        (3, [3, 0, 0], f"SC821 3 {NOTHING_HELD_OUT}"),
        (22, [22, 0, 0], f"SC821 22 {NOTHING_HELD_OUT}"),
        (23, [18, 0, 5], "SC821 23 rows in all: no calibration part below 100, so the probabilities stay as fitted"),
        (99, [79, 0, 20], "SC821 99 rows in all: no calibration part below 100, so the probabilities stay as fitted"),
        (120, [82, 14, 24], "SC821 14 calibration rows: few, so what they say about the probabilities is loose"),
    ],
)  # fmt: skip
def test_small_tables(n_rows, sizes, message):
    notes = Notes()
    parts = parts_of(np.arange(n_rows) % 2, notes=notes)

    assert list(parts.sizes().values()) == [sizes[0], sizes[1], sizes[2]]
    assert messages(notes) == [message]


def test_three_rows_of_three_classes_hold_nothing_out():
    assert parts_of([0, 1, 2]).sizes() == {"fit": 3, "calibration": 0, "test": 0}


def test_explicit_shares_win_over_the_rules_for_small_tables():
    parts = parts_of(np.arange(20) % 2, SplitOptions(test=0.2, calibration=0.25))

    assert parts.sizes() == {"fit": 12, "calibration": 4, "test": 4}


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: parts_of(np.arange(20) % 2, SplitOptions(test=0.01)),
            DataError,
            "[SC371] --test 0.01 of 20 rows leaves no row for the test part. "
            "Pass a larger share, or --test 0 for no test part",
        ),
        (
            lambda: parts_of([0, 1] * 10, own=["test"] * 20),
            DataError,
            "[SC371] the fit part needs rows; none of the 20 rows is left for it. Divide the rows otherwise",
        ),
        (
            lambda: parts_of([0, 1], SplitOptions(test=1.0)),
            UsageError,
            "[SC207] train: --test must lie in [0, 1); got 1.0. Pass a share, such as --test 0.2",
        ),
        (
            lambda: parts_of([0, 1], SplitOptions(calibration=float("nan"))),
            UsageError,
            "[SC207] train: --calibration must lie in [0, 1); got nan. Pass a share, such as --calibration 0.2",
        ),
        (
            lambda: parts_of([0, 1] * 60, SplitOptions(test=0.3), own=["test"] * 20 + [""] * 100),
            UsageError,
            "[SC202] --test has no effect: the data bring their own test part (20 rows). Leave --test out",
        ),
        (
            lambda: parts_of([0, 1], groups=["a", "b"], times=[1.0, 2.0]),
            UsageError,
            "[SC203] --group and --time cannot both decide the parts. Pass one of them",
        ),
        (
            lambda: parts_of([0, 1] * 60, groups=[1] * 30 + [2] * 90, own=["test"] * 20 + [""] * 100),
            DataError,
            "[SC372] row 1: rows of one group must stand in one part; 1 of the test part stand elsewhere too. "
            "Mend the split, or leave --group out",
        ),
        (
            lambda: own_parts(["fit", "dev", "dev"], "part", Notes()),
            TableError,
            '[SC317] row 2, column "part": cells must be fit, train, validation, calibration, conformal or test; got '
            '"dev" (2 of 3 cells). Name the part of every row, or leave the split column out and let softclass divide '
            "the rows",
        ),
    ],
)
def test_what_is_refused(call, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        call()


def test_split_column_words():
    notes = Notes()
    found = own_parts(["Train", " fit", "validation", "conformal", "calibration", "TEST"], "part", notes)

    assert found.tolist() == ["fit", "fit", "calibration", "calibration", "calibration", "test"]
    assert messages(notes) == [
        'SC823 column "part": 1 row marked "validation", used as calibration rows',
        'SC823 column "part": 1 row marked "conformal", used as calibration rows',
    ]


def test_shared_rows_are_counted_and_noted_for_each_pair():
    notes = Notes()
    parts = Parts(np.array([0, 1, 2]), np.array([3]), np.array([4, 5]))

    assert count_shared_rows([1, 2, 3, 1, 1, 2], parts, notes) == {
        ("fit", "calibration"): 1,
        ("fit", "test"): 2,
        ("calibration", "test"): 1,
    }
    assert messages(notes)[1] == "SC808 2 rows of the test part equal rows of the fit part"
